#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "layers/archive/limits.h"
#include "layers/base/stream.h"
#include "layers/base/worker_pool.h"
#include "layers/oci/descriptor.h"

namespace strake::layers {

/// What an archive may be compressed with. Layers know fewer: oci::Compression.
enum class ArchiveCompression { none, gzip, zstd, bzip2, xz };

ArchiveCompression archive_compression(oci::Compression compression);
std::string_view name_of(ArchiveCompression compression);  // "gzip"

/// Enough bytes of a stream's beginning for sniff().
inline constexpr std::size_t kSniffBytes = 6;

/// The compression that `beginning` shows by its magic number; `none` if it shows none.
ArchiveCompression sniff(std::span<const std::byte> beginning);

/// A sink that compresses what is written to it. Nothing is complete before finish().
struct CompressingSink : base::ByteSink {
  /// Compresses the rest and ends the stream; call it once, and no write() afterwards.
  virtual void finish() = 0;
};

/// Compresses to `out` with blocks over the threads of `pool`; the bytes depend on `level` and the
/// input only, never on the threads or on how the input was cut into writes. `out` is called in the
/// thread that calls write() and finish(), which takes part in the work and so may be a thread of
/// `pool` itself. What all compressors of a process have in memory is bounded, by 12 MiB a thread.
///
/// gzip: a chain of members of 1 MiB of input each (RFC 1952, 2.2). Level 0-12; without one, each
/// block gets what its content deserves. zstd: a chain of frames of 4 MiB, each with its content
/// size and checksum. Level 1-22, default 3. none: passes bytes on; the level means nothing.
///
/// Throws Error(invalid_input) for a level out of range.
std::unique_ptr<CompressingSink> make_compressor(oci::Compression compression,
                                                 std::optional<int> level, base::ByteSink& out,
                                                 base::WorkerPool& pool);

/// What `from` holds, decompressed. Concatenated members, streams and frames (skippable ones
/// included) are one stream. read() throws Error(corrupt) for malformed or truncated input, a
/// failed checksum, garbage after the end (zero padding after gzip members is none), and for what
/// is over `limits`. Memory is constant.
std::unique_ptr<base::ByteSource> make_decompressor(std::unique_ptr<base::ByteSource> from,
                                                    ArchiveCompression compression,
                                                    const Limits& limits = {});

}  // namespace strake::layers
