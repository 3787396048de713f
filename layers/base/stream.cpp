#include "layers/base/stream.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "layers/base/error.h"

namespace strake::base {

std::uint64_t copy(ByteSource& from, ByteSink& to) {
  std::vector<std::byte> buffer(kStreamBufferBytes);
  std::uint64_t total = 0;
  while (const std::size_t count = from.read(buffer)) {
    to.write(std::span(buffer).first(count));
    total += count;
  }
  return total;
}

std::size_t read_full(ByteSource& from, std::span<std::byte> buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const std::size_t count = from.read(buffer.subspan(done));
    if (count == 0) break;
    done += count;
  }
  return done;
}

std::string read_all(ByteSource& from, std::size_t limit_bytes, std::string_view subject) {
  StringSink sink;
  std::vector<std::byte> buffer(16 * 1024);
  while (const std::size_t count = from.read(buffer)) {
    sink.write(std::span(buffer).first(count));
    if (sink.text.size() > limit_bytes)
      throw Error(ErrorCode::corrupt, quoted(subject) + " is larger than the limit of " +
                                          std::to_string(limit_bytes) + " bytes");
  }
  return std::move(sink.text);
}

void HashingSink::write(std::span<const std::byte> bytes) {
  sha256_.update(bytes);
  size_bytes_ += bytes.size();
  if (next_ != nullptr) next_->write(bytes);
}

void TeeSink::write(std::span<const std::byte> bytes) {
  first_.write(bytes);
  second_.write(bytes);
}

VerifyingSource::VerifyingSource(std::unique_ptr<ByteSource> from, const Digest& digest,
                                 std::uint64_t size_bytes, std::string subject)
    : from_(std::move(from)),
      want_(digest),
      want_bytes_(size_bytes),
      subject_(std::move(subject)) {}

std::size_t VerifyingSource::read(std::span<std::byte> buffer) {
  if (buffer.empty()) return 0;
  const std::size_t count = end_digest_ ? 0 : from_->read(buffer);
  seen_bytes_ += count;
  if (seen_bytes_ > want_bytes_ || (count == 0 && seen_bytes_ < want_bytes_))
    throw Error(ErrorCode::corrupt, subject_ + " has the wrong size: got " +
                                        std::string(count == 0 ? "" : "at least ") +
                                        std::to_string(seen_bytes_) + " bytes, want " +
                                        std::to_string(want_bytes_));
  if (count > 0) {
    sha256_.update(buffer.first(count));
    return count;
  }
  if (!end_digest_) end_digest_ = sha256_.finish();
  if (*end_digest_ != want_)
    throw Error(ErrorCode::corrupt, subject_ + " has the wrong digest: got " + end_digest_->str() +
                                        ", want " + want_.str());
  return 0;
}

std::size_t FileSource::read(std::span<std::byte> buffer) {
  return read_some(file_.get(), buffer, subject_);
}

void FdSink::write(std::span<const std::byte> bytes) {
  write_full(fd_, bytes, subject_);
}

std::size_t StringSource::read(std::span<std::byte> buffer) {
  const std::size_t count = std::min(buffer.size(), text_.size() - position_);
  if (count > 0) std::memcpy(buffer.data(), text_.data() + position_, count);
  position_ += count;
  return count;
}

}  // namespace strake::base
