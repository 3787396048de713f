#include "layers/archive/tar_feed.h"

#include <algorithm>
#include <cstring>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::layers {
namespace {

// An entry has at most a global and an extended header, two long names and a sparse map.
constexpr std::size_t kHeaderKinds = 5;

}  // namespace

TarFeed::TarFeed(base::PieceSource& source, const Limits& limits)
    : source_(source),
      limit_bytes_(limits.uncompressed_bytes),
      headers_limit_bytes_(kHeaderKinds * (limits.pax_header_bytes + 2 * kTarBlockBytes)) {}

std::span<const std::byte> TarFeed::next_block() {
  if (piece_.empty()) refill();
  const std::span<const std::byte> block =
      piece_.size() < kTarBlockBytes ? assembled_block() : take(kTarBlockBytes);
  if (keep_) {
    headers_.append(base::text_of(block));
    if (headers_.size() > headers_limit_bytes_)
      throw base::Error(base::ErrorCode::corrupt, "the tar has extended headers of more than " +
                                                      std::to_string(headers_limit_bytes_) +
                                                      " bytes before one entry");
  }
  return block;
}

/// The next block from the ends of pieces.
std::span<const std::byte> TarFeed::assembled_block() {
  std::size_t size = 0;
  while (size < block_.size() && (!piece_.empty() || refill())) {
    const std::span<const std::byte> part = take(block_.size() - size);
    std::memcpy(block_.data() + size, part.data(), part.size());
    size += part.size();
  }
  return std::span(block_).first(size);
}

std::uint64_t TarFeed::skip(std::uint64_t count) {
  const std::uint64_t already = std::min(count, around_bytes_);
  around_bytes_ -= already;
  std::uint64_t done = already;
  while (done < count && (!piece_.empty() || refill())) done += take(count - done).size();
  return done;
}

void TarFeed::forget_headers(std::size_t length) {
  keep_ = false;
  headers_.erase(0, length);
}

std::span<const std::byte> TarFeed::take_around(std::uint64_t most_bytes) {
  if (piece_.empty() && !refill()) return {};
  const std::span<const std::byte> bytes = take(most_bytes);
  around_bytes_ += bytes.size();
  return bytes;
}

void TarFeed::drain() {
  while (!piece_.empty() || refill()) take(piece_.size());
}

/// False at the end of the source.
bool TarFeed::refill() {
  piece_ = source_.next_piece();
  read_bytes_ += piece_.size();
  if (read_bytes_ > limit_bytes_)
    throw base::Error(base::ErrorCode::corrupt, "the tar is larger than the limit of " +
                                                    std::to_string(limit_bytes_) + " bytes");
  return !piece_.empty();
}

std::span<const std::byte> TarFeed::take(std::uint64_t most_bytes) {
  const std::span<const std::byte> bytes =
      piece_.first(std::min<std::uint64_t>(piece_.size(), most_bytes));
  piece_ = piece_.subspan(bytes.size());
  position_ += bytes.size();
  return bytes;
}

}  // namespace strake::layers
