#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "layers/archive/limits.h"
#include "layers/archive/tar_block.h"
#include "layers/base/piece_source.h"

namespace strake::layers {

/// Stands between a tar's bytes and the parser of its headers. The parser pulls single blocks,
/// which are kept until the headers of an entry are complete; file data is taken around the parser,
/// which later skips it unseen, and is not copied. Counts all bytes and throws Error(corrupt) above
/// `limits.uncompressed_bytes`.
class TarFeed {
 public:
  TarFeed(base::PieceSource& source, const Limits& limits);

  // For the parser.
  /// The next block, valid until the next call of any member; less than a block at the end of the
  /// source, empty after it.
  std::span<const std::byte> next_block();
  /// Passes over `count` bytes, those taken around the parser first; returns less at the end.
  std::uint64_t skip(std::uint64_t count);

  // For the reader.
  /// The blocks from here on are headers: keep them. Throws Error(corrupt), while they are pulled,
  /// if they are more than one entry can need.
  void begin_headers() { keep_ = true; }
  /// The headers pulled since then. `forget_headers` ends their being kept; what the parser pulled
  /// beyond `length` to look ahead belongs to the headers that follow.
  std::string_view headers() const noexcept { return headers_; }
  void forget_headers(std::size_t length);
  /// File data past the parser, at most `most_bytes`, as far as it lies in one piece. Valid as a
  /// block is. Empty at the end of the source.
  std::span<const std::byte> take_around(std::uint64_t most_bytes);
  void drain();

  std::uint64_t position() const noexcept { return position_; }

 private:
  bool refill();
  std::span<const std::byte> take(std::uint64_t most_bytes);
  std::span<const std::byte> assembled_block();

  base::PieceSource& source_;
  const std::uint64_t limit_bytes_;
  const std::size_t headers_limit_bytes_;
  std::span<const std::byte> piece_;             // what is left of the current one
  std::array<std::byte, kTarBlockBytes> block_;  // one that lies in several
  std::uint64_t read_bytes_ = 0;                 // from source_
  std::uint64_t position_ = 0;                   // given to the parser, skipped or taken
  std::uint64_t around_bytes_ = 0;               // taken, and not yet skipped by the parser
  bool keep_ = false;
  std::string headers_;
};

}  // namespace strake::layers
