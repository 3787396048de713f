#pragma once

#include <cstddef>
#include <cstdint>

namespace strake::layers {

/// What an archive from outside may cost. A value at the limit is accepted, one above it is
/// refused with Error(corrupt).
struct Limits {
  std::size_t path_bytes = 4095;           // of an entry, and of a link's target
  std::size_t path_component_bytes = 255;  // NAME_MAX
  std::size_t pax_header_bytes = 1 << 20;  // one extended header
  std::size_t pax_records = 10'000;        // in one extended header
  std::size_t xattrs = 64;                 // of an entry, dropped ones included
  std::size_t xattr_value_bytes = 64 << 10;
  std::uint64_t entries = 5'000'000;
  /// Whether ".." in the path of an entry goes up, but not above the root, as ADD does with the
  /// archives of users. Else it is refused: no layer has a reason for it.
  bool clamp_parent_components = false;

  /// Of the uncompressed archive; holes of sparse files count as if they were stored.
  std::uint64_t uncompressed_bytes = std::uint64_t{64} << 30;
  /// Uncompressed to compressed bytes, looked at once `ratio_free_bytes` came out. (Deflate cannot
  /// pass 1032; what does is a bomb of another format.)
  std::uint64_t ratio = 1100;
  std::uint64_t ratio_free_bytes = 16 << 20;
  int zstd_window_log = 27;
  std::uint64_t xz_memory_bytes = 128 << 20;
};

}  // namespace strake::layers
