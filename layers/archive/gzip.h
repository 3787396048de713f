#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace strake::layers {

inline constexpr std::size_t kGzipBlockBytes = 1 << 20;

/// How much work a block is worth.
enum class GzipEffort {
  store,   // noise: compressed or encrypted already
  fast,    // nearly noise: little can be gained
  medium,  // binaries: more work gains little
  strong,  // text: more work gains much
};

/// Guesses from samples of the content what compressing it would gain.
GzipEffort gzip_effort(std::span<const std::byte> block);

/// Appends one gzip member (RFC 1952) that holds `block` to `to`; mtime 0, no name, OS unknown.
/// `level` is 1-9, or nullopt for what gzip_effort() says. Never longer than the block stored.
void append_gzip_member(std::span<const std::byte> block, std::optional<int> level,
                        std::vector<std::byte>& to);

}  // namespace strake::layers
