#include "layers/archive/tar_feed.h"

#include <algorithm>
#include <cstring>

#include "layers/archive/tar_block.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::layers {
namespace {

// An entry has at most a global and an extended header, two long names and a sparse map.
constexpr std::size_t kHeaderKinds = 5;

}  // namespace

TarFeed::TarFeed(base::ByteSource& source, const Limits& limits)
    : source_(source),
      limit_bytes_(limits.uncompressed_bytes),
      headers_limit_bytes_(kHeaderKinds * (limits.pax_header_bytes + 2 * kTarBlockBytes)),
      buffer_(base::kStreamBufferBytes) {}

std::span<const std::byte> TarFeed::next_block() {
  const std::span<const std::byte> block = buffered(kTarBlockBytes);
  consume(block.size());
  if (keep_) {
    headers_.append(base::text_of(block));
    if (headers_.size() > headers_limit_bytes_)
      throw base::Error(base::ErrorCode::corrupt, "the tar has extended headers of more than " +
                                                      std::to_string(headers_limit_bytes_) +
                                                      " bytes before one entry");
  }
  return block;
}

std::uint64_t TarFeed::skip(std::uint64_t count) {
  const std::uint64_t already = std::min(count, around_bytes_);
  around_bytes_ -= already;
  std::uint64_t done = already;
  while (done < count) {
    const std::span<const std::byte> bytes = buffered(1);
    if (bytes.empty()) break;
    const std::size_t step = std::min<std::uint64_t>(bytes.size(), count - done);
    consume(step);
    done += step;
  }
  return done;
}

void TarFeed::forget_headers(std::size_t length) {
  keep_ = false;
  headers_.erase(0, length);
}

std::size_t TarFeed::read_around(std::span<std::byte> buffer) {
  std::size_t count = 0;
  if (begin_ == end_ && buffer.size() >= buffer_.size()) {
    count = source_.read(buffer);  // straight to the reader: no use for our copy
    count_read(count);
    position_ += count;
  } else {
    const std::span<const std::byte> bytes = buffered(1);
    count = std::min(bytes.size(), buffer.size());
    std::memcpy(buffer.data(), bytes.data(), count);
    consume(count);
  }
  around_bytes_ += count;
  return count;
}

void TarFeed::drain() {
  while (!buffered(1).empty()) consume(end_ - begin_);
}

/// At least `wanted` bytes (a block or one byte), less at the end of the source; exactly a block if
/// a block is wanted.
std::span<const std::byte> TarFeed::buffered(std::size_t wanted) {
  if (end_ - begin_ < wanted) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    while (end_ < wanted) {
      const std::size_t count = source_.read(std::span(buffer_).subspan(end_));
      if (count == 0) break;
      count_read(count);
      end_ += count;
    }
  }
  const std::size_t available = end_ - begin_;
  return {buffer_.data() + begin_, wanted > 1 ? std::min(wanted, available) : available};
}

void TarFeed::consume(std::size_t count) {
  begin_ += count;
  position_ += count;
}

void TarFeed::count_read(std::size_t count) {
  read_bytes_ += count;
  if (read_bytes_ > limit_bytes_)
    throw base::Error(base::ErrorCode::corrupt, "the tar is larger than the limit of " +
                                                    std::to_string(limit_bytes_) + " bytes");
}

}  // namespace strake::layers
