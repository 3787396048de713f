#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "layers/archive/tar_entry.h"

namespace strake::layers {

/// Two blocks of zeros: the end of an archive.
inline constexpr std::size_t kTarEndBytes = 1024;

/// Appends what stands before the data of `entry` in a layer's tar: its header block, and before
/// that a pax header if ustar cannot say everything (tar_writer.h has the rules). Whole blocks.
/// Later mtimes become `clamp_mtime`, seconds since the epoch. Pure: the only place where layer
/// headers are made.
///
/// Throws Error(invalid_input) for what a tar cannot hold (a NUL or nothing as path, data on
/// anything but a file).
void append_tar_headers(const TarEntry& entry, std::optional<std::int64_t> clamp_mtime,
                        std::vector<std::byte>& out);

}  // namespace strake::layers
