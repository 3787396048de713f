#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "layers/base/fd.h"

namespace strake::base {

/// A fresh directory (0700), removed with all its content on destruction unless taken.
class TempDirectory {
 public:
  TempDirectory() = default;
  /// Makes `<parent>/<prefix><random>`. Throws Error.
  TempDirectory(const std::filesystem::path& parent, std::string_view prefix);
  TempDirectory(TempDirectory&& other) noexcept;
  TempDirectory& operator=(TempDirectory&& other) noexcept;
  ~TempDirectory();

  const std::filesystem::path& path() const noexcept { return path_; }
  explicit operator bool() const noexcept { return !path_.empty(); }
  /// Gives up ownership: the directory stays, and is the caller's to rename or remove.
  std::filesystem::path take() noexcept;

 private:
  std::filesystem::path path_;
};

/// Removes a tree of our own (store, temporary directories): by descriptors, without following
/// symlinks, without recursion. Never throws; what cannot be removed stays.
void remove_tree(const std::filesystem::path& path) noexcept;

/// An flock(2) on a file that is created when absent. Held until destruction; inherited by nobody
/// (close-on-exec, and RUN children close everything).
class FileLock {
 public:
  enum class Mode { shared, exclusive };

  FileLock() = default;
  /// Blocks until the lock is had. A lock file deleted or replaced meanwhile is noticed: the lock
  /// is then taken on the new file. Throws Error(system).
  FileLock(const std::filesystem::path& file, Mode mode);
  /// Without blocking; nullopt if another process holds it.
  static std::optional<FileLock> try_lock(const std::filesystem::path& file, Mode mode);

  explicit operator bool() const noexcept { return static_cast<bool>(file_); }
  /// Whoever gets this descriptor holds the lock as well, until both have closed it.
  int fd() const noexcept { return file_.get(); }
  void unlock() noexcept { file_.reset(); }

 private:
  explicit FileLock(FileDescriptor file) : file_(std::move(file)) {}
  FileDescriptor file_;
};

enum class Durability {
  none,    // visible at once or not at all; may be lost in a power cut
  synced,  // fdatasync before the rename, fsync of the directory after it
};

/// Writes `content` beside `file` and renames it into place: readers see the old or the new file,
/// never a part. Throws Error. `mode` is exact (no umask).
void write_file_atomically(const std::filesystem::path& file, std::string_view content,
                           mode_t mode = 0600, Durability durability = Durability::synced);

/// A whole file of ours; nullopt if it is not there. Throws Error(corrupt) beyond `limit_bytes`.
std::optional<std::string> read_file(const std::filesystem::path& file,
                                     std::size_t limit_bytes = 64 << 20);

/// mkdir -p with 0700 for what is made. Throws Error.
void make_directories(const std::filesystem::path& path);

/// 16 random lower-case hex digits, for names.
std::string random_name();

/// The kernel's id of this boot, "" where /proc does not tell.
const std::string& boot_id();

}  // namespace strake::base
