#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "layers/archive/limits.h"
#include "layers/archive/tar_entry.h"
#include "layers/base/piece_source.h"
#include "layers/base/stream.h"

namespace strake::layers {

/// Reads a tar from outside (v7, ustar, pax, GNU), entry by entry, in one pass and constant memory.
///
/// What it hands out is safe to act on: paths and hard link targets are normalised (see TarEntry),
/// numbers are in range, times are clamped to [0, 2^33) seconds, extended attributes are those that
/// `keep_xattr` allows. It does not know what is on disk: resolving symlinks is the caller's task,
/// and so is TarEntry::is_overlay_whiteout().
///
/// Every member function throws Error(corrupt), naming the entry, for what is malformed, truncated
/// (the end-of-archive block is required), over `limits`, or escaping ("..", a root entry that is
/// not a directory). Only files carry data: a link or directory that announces some is refused, as
/// readers disagree about it. After an error the object must not be used. Errors of `source` pass
/// through.
class TarReader {
 public:
  explicit TarReader(base::ByteSource& source, const Limits& limits = {});
  explicit TarReader(base::PieceSource& source, const Limits& limits = {});
  ~TarReader();
  TarReader(const TarReader&) = delete;
  TarReader& operator=(const TarReader&) = delete;

  /// The next entry, in archive order; nullopt at the end of the archive. Unread data of the
  /// current entry is skipped. The root directory is reported, as ".".
  std::optional<TarEntry> next();

  /// The data of the current entry, of exactly `size_bytes`. Holes of a sparse file read as zeros.
  /// Valid until the next call of next().
  base::ByteSource& data();
  /// The same without a copy, piece by piece: some of the data that was not read yet, all of it
  /// after enough calls, and nothing after that. Valid until the next call of any member.
  std::span<const std::byte> next_data();

  /// Reads what `source` still has: padding, or anything else behind the end of the archive. A
  /// diffID covers these bytes too, so a caller that hashes `source` calls this before asking.
  void drain_to_end();

  /// Extended attributes left out so far.
  std::uint64_t dropped_xattrs() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strake::layers
