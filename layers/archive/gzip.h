#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace strake::layers {

inline constexpr std::size_t kGzipBlockBytes = 1 << 20;
inline constexpr int kGzipMaxLevel = 12;  // 10 and more: slow, a few percent smaller

/// How much work a block is worth.
enum class GzipEffort {
  store,   // noise: compressed or encrypted already
  fast,    // nearly noise: little can be gained
  medium,  // binaries: more work gains less than it costs
  strong,  // text
};

/// Guesses from samples of the content what compressing it would gain.
GzipEffort gzip_effort(std::span<const std::byte> block);

/// The most bytes that a member of `block_bytes` may take: those of the block stored.
std::size_t gzip_member_bound(std::size_t block_bytes);

/// Writes one gzip member (RFC 1952) that holds `block` to `room`, which has the bound's size at
/// least; mtime 0, no name, OS unknown. `level` is 0-12, or nullopt for what gzip_effort() says.
/// Returns its length.
std::size_t write_gzip_member(std::span<const std::byte> block, std::optional<int> level,
                              std::span<std::byte> room);

}  // namespace strake::layers
