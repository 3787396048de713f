#include "layers/archive/tar_writer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "layers/archive/tar_block.h"
#include "layers/archive/tar_encoder.h"
#include "layers/base/error.h"

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kBufferBytes = base::kStreamBufferBytes;
}  // namespace

TarWriter::TarWriter(base::ByteSink& out, const Options& options)
    : out_(out), options_(options), buffer_(kBufferBytes) {}

void TarWriter::add(const TarEntry& entry) {
  begin(entry);
  end_entry();
}

void TarWriter::add(const TarEntry& entry, base::ByteSource& data) {
  begin(entry);
  while (data_left_ > 0) {
    const std::span<std::byte> space = free_space();
    const std::size_t count =
        data.read(space.first(std::min<std::uint64_t>(space.size(), data_left_)));
    if (count == 0) break;
    buffered_ += count;
    size_bytes_ += count;
    data_left_ -= count;
  }
  std::byte more{};
  if (data_left_ == 0 && data.read(std::span(&more, 1)) != 0)
    throw Error(ErrorCode::corrupt, base::quoted(entry.path) +
                                        " changed while it was read: got more than " +
                                        std::to_string(entry.size_bytes) + " bytes");
  end_entry();
}

void TarWriter::begin(const TarEntry& entry) {
  end_entry();
  headers_.clear();
  append_tar_headers(entry, options_.clamp_mtime, headers_);
  append(headers_);
  current_path_ = entry.path;
  data_left_ = entry.size_bytes;
  padding_ = tar_padding(entry.size_bytes);
}

void TarWriter::write(std::span<const std::byte> data) {
  if (data.size() > data_left_)
    throw Error(ErrorCode::corrupt, base::quoted(current_path_) +
                                        " changed while it was read: got more bytes than its size");
  append(data);
  data_left_ -= data.size();
}

void TarWriter::finish() {
  end_entry();
  append_zeros(kTarEndBytes);
  flush();
}

void TarWriter::end_entry() {
  if (data_left_ != 0)
    throw Error(ErrorCode::corrupt, base::quoted(current_path_) + " changed while it was read: " +
                                        std::to_string(data_left_) + " bytes are missing");
  append_zeros(std::exchange(padding_, 0));
}

void TarWriter::append(std::span<const std::byte> bytes) {
  size_bytes_ += bytes.size();
  if (bytes.size() >= buffer_.size()) {  // a piece this large is handed on uncopied
    flush();
    return out_.write(bytes);
  }
  while (!bytes.empty()) {
    const std::span<std::byte> space = free_space();
    const std::size_t count = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), count);
    buffered_ += count;
    bytes = bytes.subspan(count);
  }
}

void TarWriter::append_zeros(std::size_t count) {
  static constexpr std::array<std::byte, kTarEndBytes> kZeros{};
  append(std::span(kZeros).first(count));
}

std::span<std::byte> TarWriter::free_space() {
  if (buffered_ == buffer_.size()) flush();
  return std::span(buffer_).subspan(buffered_);
}

void TarWriter::flush() {
  if (buffered_ == 0) return;
  out_.write(std::span(buffer_).first(std::exchange(buffered_, 0)));
}

}  // namespace strake::layers
