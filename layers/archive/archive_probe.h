#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "layers/archive/compression.h"
#include "layers/archive/tar_block.h"

namespace strake::layers {

/// Whether this block begins a tar: its checksum is right. The zero block of an empty one is not.
bool is_tar_header(std::span<const std::byte, kTarBlockBytes> bytes);

/// Does the regular file `fd` hold a tar that ADD unpacks? Decided by content alone: the
/// compression that its magic number shows, nullopt unless a tar header with a right checksum is
/// its first (decompressed) block. An empty archive is none. The file position is neither used nor
/// moved. `subject` names the file in the Error(system) of a failed read.
std::optional<ArchiveCompression> probe_archive(int fd, std::string_view subject);

}  // namespace strake::layers
