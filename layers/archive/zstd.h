#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace strake::layers {

inline constexpr std::size_t kZstdBlockBytes = 4 << 20;
inline constexpr int kZstdDefaultLevel = 3;
inline constexpr int kZstdMaxLevel = 19;

/// Appends one zstd frame (RFC 8878) that holds `block` to `to`, with content size and checksum.
void append_zstd_frame(std::span<const std::byte> block, int level, std::vector<std::byte>& to);

}  // namespace strake::layers
