#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/archive/byte_buffer.h"
#include "layers/archive/tar_entry.h"
#include "layers/base/fd.h"
#include "layers/base/ordered_jobs.h"
#include "layers/base/stream.h"

namespace strake::layers {

/// Where the bytes of a file come from. One object a file; a large file is asked for several of its
/// pieces at once, by several threads.
class TarContent {
 public:
  virtual ~TarContent() = default;
  /// Fills `to` with the bytes from `offset` on: offsets are multiples of kTarPieceBytes, and all
  /// pieces but the last have that size. Throws Error if the file has fewer bytes.
  virtual void read(std::uint64_t offset, std::span<std::byte> to) = 0;
  /// The file, if there is one whose blocks a copy may share; empty else.
  virtual base::FileDescriptor open() const { return {}; }
};

inline constexpr std::size_t kTarPieceBytes = 1 << 20;

/// The regular file `name` of an open directory, opened when it is its turn (not following a
/// symlink). `path` is for messages.
std::shared_ptr<TarContent> content_at(std::shared_ptr<const base::FileDescriptor> directory,
                                       std::string name, std::string path);
/// An open file. Its position is not used.
std::shared_ptr<TarContent> content_of(base::FileDescriptor file, std::string path);

/// Fills `to` with what the open file `path` has from `offset` on. Throws Error(corrupt) if that is
/// less.
void read_content(int file, std::uint64_t offset, std::span<std::byte> to, const std::string& path);

/// Writes the same bytes as TarWriter, with the files read by the threads of a pool.
///
/// Entries are gathered into batches of about a MiB of archive. Headers are made at once; the
/// content of a batch's files is read by a job into its place between them. `out` gets the batches
/// in order, on the calling thread: so a thread hashes and compresses while others read. Memory is
/// bounded by the number of batches in flight.
///
///     ParallelTarWriter tar(hash, {});
///     for (walk) tar.add(entry, content_at(directory, name, path));
///     tar.finish();
///
/// What TarContent::read throws comes out of a later add() or finish(). After an exception the
/// object can only be destroyed. One thread at a time.
class ParallelTarWriter {
 public:
  struct Options {
    std::optional<std::int64_t> clamp_mtime = std::nullopt;  // see TarWriter
    /// An open file that gets the archive too, from its offset 0 on, written by the jobs.
    int file = -1;
    std::string file_name = {};  // for messages
  };

  explicit ParallelTarWriter(base::ByteSink& out) : ParallelTarWriter(out, Options()) {}
  ParallelTarWriter(base::ByteSink& out, Options options,
                    base::WorkerPool& pool = base::WorkerPool::shared());

  /// Adds an entry without data. Throws as TarWriter::add.
  void add(const TarEntry& entry);
  /// Adds a file with `entry.size_bytes` bytes of `content`. Without any, `content` is not asked.
  void add(const TarEntry& entry, std::shared_ptr<TarContent> content);
  /// Adds a file that is read now. Throws Error(corrupt) unless `data` has exactly
  /// `entry.size_bytes`.
  void add(const TarEntry& entry, base::ByteSource& data);
  /// Adds entries that somebody else made whole: headers (append_tar_headers), data and padding.
  void add_made(std::span<const std::byte> blocks);

  /// Ends the archive: `out` has got everything. Nothing can be added afterwards.
  void finish();

  /// Bytes of the archive so far: where in it the next entry begins.
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }

 private:
  /// A place in a batch for a piece of a file.
  struct Piece {
    std::uint64_t content_offset = 0;
    std::size_t at = 0, size = 0;
  };
  struct Hole {
    std::shared_ptr<TarContent> content;
    Piece piece;
  };
  struct Batch {
    ByteBuffer bytes;
    std::uint64_t offset = 0;  // in the archive
    std::vector<Hole> holes;
  };

  /// Makes room for `count` bytes at the end of the batch that is being filled.
  std::span<std::byte> extend(std::size_t count);
  void begin(const TarEntry& entry);
  /// Makes room for the content of `entry` piece by piece; `fill(batch, piece)` sees to the bytes.
  template <typename Fill>
  void add_pieces(const TarEntry& entry, const Fill& fill);
  void append_zeros(std::size_t count);
  void finish_batches();

  const Options options_;
  base::ByteSink& out_;
  std::vector<std::byte> headers_;  // of one entry; kept for its capacity
  std::uint64_t size_bytes_ = 0;
  base::OrderedJobs<Batch> batches_;
};

}  // namespace strake::layers
