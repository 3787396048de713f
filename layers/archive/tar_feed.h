#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layers/archive/limits.h"
#include "layers/base/stream.h"

namespace strake::layers {

/// Stands between a tar's bytes and the parser of its headers. The parser pulls single blocks,
/// which are kept until the headers of an entry are complete; file data is read around the parser,
/// which later skips it unseen. Counts all bytes and throws Error(corrupt) above
/// `limits.uncompressed_bytes`.
class TarFeed {
 public:
  TarFeed(base::ByteSource& source, const Limits& limits);

  // For the parser.
  /// The next block; less than a block at the end of the source, empty after it.
  std::span<const std::byte> next_block();
  /// Passes over `count` bytes, those read around the parser first; returns less at the end.
  std::uint64_t skip(std::uint64_t count);

  // For the reader.
  /// The blocks from here on are headers: keep them. Throws Error(corrupt), while they are pulled,
  /// if they are more than one entry can need.
  void begin_headers() { keep_ = true; }
  /// The headers pulled since then. `forget_headers` ends their being kept; what the parser pulled
  /// beyond `length` to look ahead belongs to the headers that follow.
  std::string_view headers() const noexcept { return headers_; }
  void forget_headers(std::size_t length);
  /// File data, past the parser. 0 at the end of the source.
  std::size_t read_around(std::span<std::byte> buffer);
  void drain();

  std::uint64_t position() const noexcept { return position_; }

 private:
  std::span<const std::byte> buffered(std::size_t wanted);
  void consume(std::size_t count);
  void count_read(std::size_t count);

  base::ByteSource& source_;
  const std::uint64_t limit_bytes_;
  const std::size_t headers_limit_bytes_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // unread part of buffer_
  std::uint64_t read_bytes_ = 0;     // from source_
  std::uint64_t position_ = 0;       // given to the parser, skipped or read around it
  std::uint64_t around_bytes_ = 0;   // read around the parser and not yet skipped by it
  bool keep_ = false;
  std::string headers_;
};

}  // namespace strake::layers
