#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/archive/tar_entry.h"
#include "layers/base/stream.h"

namespace strake::layers {

/// Writes a layer's tar. The only producer of layer bytes: the same entries and data make the same
/// bytes, always and everywhere.
///
/// ustar headers, with a pax header only for what ustar cannot say (long or non-ASCII names, ids
/// above 2097151, sizes of 8 GiB and more, extended attributes as SCHILY.xattr.*); mtime in whole
/// seconds; no user and group names, no atime and ctime; directories end in "/"; two zero blocks at
/// the end and no padding after them. Order is the caller's.
///
/// Output is gathered: `out` sees few large writes, and everything only after finish().
class TarWriter {
 public:
  struct Options {
    /// Later mtimes become this one (SOURCE_DATE_EPOCH); seconds since the epoch.
    std::optional<std::int64_t> clamp_mtime;
  };

  explicit TarWriter(base::ByteSink& out) : TarWriter(out, Options()) {}
  TarWriter(base::ByteSink& out, const Options& options);

  /// Adds an entry without data. Throws Error(invalid_input) for what a tar cannot hold (a NUL or
  /// nothing as path, data on anything but a file).
  void add(const TarEntry& entry);
  /// Adds a file. Throws Error(corrupt) unless `data` has exactly `entry.size_bytes`.
  void add(const TarEntry& entry, base::ByteSource& data);

  /// The same in pieces: begin(), then write() until `entry.size_bytes` are there. Too much throws
  /// at once, too little in the next begin(), add() or finish().
  void begin(const TarEntry& entry);
  void write(std::span<const std::byte> data);

  /// Ends the archive and hands the last bytes to `out`. Nothing can be added afterwards.
  void finish();

  /// Bytes of the archive so far.
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }

 private:
  void append(std::span<const std::byte> bytes);
  void append_zeros(std::size_t count);
  std::span<std::byte> free_space();
  void end_entry();
  void flush();

  base::ByteSink& out_;
  Options options_;
  std::vector<std::byte> headers_;  // of one entry; kept for its capacity
  std::vector<std::byte> buffer_;
  std::size_t buffered_ = 0;
  std::uint64_t size_bytes_ = 0;
  std::uint64_t data_left_ = 0;
  std::size_t padding_ = 0;
  std::string current_path_;  // for messages
};

}  // namespace strake::layers
