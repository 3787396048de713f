#pragma once

#include <cstddef>
#include <span>

namespace strake::layers {

inline constexpr std::size_t kZstdBlockBytes = 4 << 20;
inline constexpr int kZstdDefaultLevel = 3;
inline constexpr int kZstdMaxLevel = 22;

/// The most bytes that a frame of `block_bytes` may take.
std::size_t zstd_frame_bound(std::size_t block_bytes);

/// Writes one zstd frame (RFC 8878) that holds `block` to `room`, which has the bound's size; with
/// content size and checksum. Returns its length.
std::size_t write_zstd_frame(std::span<const std::byte> block, int level,
                             std::span<std::byte> room);

}  // namespace strake::layers
