#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "layers/base/stream.h"
#include "layers/snapshot/apply.h"

namespace strake::builder {

/// How much of a stream looks_like_archive wants to see.
inline constexpr std::size_t kArchiveSniffBytes = 512;

/// Whether a context that begins with these bytes (all it has, if fewer than kArchiveSniffBytes) is
/// an archive rather than a Dockerfile: compressed by its magic number, or a tar header with a
/// right checksum, or the empty tar.
bool looks_like_archive(std::span<const std::byte> beginning);

/// The first bytes of a stream, and the stream with all its bytes still to come.
struct Beginning {
  std::vector<std::byte> bytes;
  std::unique_ptr<base::ByteSource> stream;
};
Beginning look_at_beginning(std::unique_ptr<base::ByteSource> source, std::size_t bytes);

/// Unpacks a tar, plain or compressed with gzip, bzip2, xz or zstd, into `destination`: an empty
/// directory of ours. Nothing gets outside of it. Devices that this process may not make become
/// empty files. Throws Error(corrupt) for what is malformed, truncated or over the limits;
/// `destination` is then half filled.
layers::ApplyResult unpack_archive(std::unique_ptr<base::ByteSource> archive,
                                   const std::filesystem::path& destination);

}  // namespace strake::builder
