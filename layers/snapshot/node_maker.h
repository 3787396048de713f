#pragma once

#include <sys/stat.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <string>

#include "layers/archive/tar_entry.h"
#include "layers/base/fd.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// Makes files in trees of ours as tar entries describe them, below directories that are open.
///
/// Two steps, so that the caller can see what is in the way: create_* only makes the name and gives
/// an errno, set_* gives it owner, attributes, mode and time, in the order in which the kernel lets
/// them be (chown clears setuid bits and capabilities). Nothing here follows a symlink.
class NodeMaker {
 public:
  /// `fresh_tree`: all directories of the tree are made here, so that nothing inherits a group.
  NodeMaker(XattrNamespace xattrs, bool fresh_tree);

  /// A new file open for reading and writing; empty with errno set on failure. It has mode 0600
  /// until set_file_metadata().
  base::FileDescriptor create_file(int parent, const std::string& name) const noexcept;
  /// The same for `entry`, with as much of its metadata as costs nothing; the rest comes with
  /// finish_file().
  base::FileDescriptor create_file(int parent, const std::string& name, const TarEntry& entry);
  /// A directory of which `has_mode` then tells whether only its time is still to be set; if not,
  /// it is 0700 until finish_directory. Returns 0 or errno.
  int create_directory(int parent, const std::string& name, const TarEntry& entry, bool& has_mode);
  /// A directory (0700 until finish_directory), symlink, FIFO or device. Returns 0 or errno. A
  /// device that this process may not make becomes an empty file that says so (kOwnerXattr).
  int create_other(int parent, const std::string& name, const TarEntry& entry) const;

  /// All metadata of a file that is written.
  void set_file_metadata(int file, const TarEntry& entry);
  /// The same of a file that was created for this entry.
  void finish_file(int file, const TarEntry& entry);
  /// Owner, mode and time of the regular file that the hard link `name` now leads to.
  void set_link_metadata(int parent, const std::string& name, const TarEntry& entry) const;
  /// All metadata of a symlink, FIFO or device.
  void set_other_metadata(int parent, const std::string& name, const TarEntry& entry) const;
  /// Owner and attributes of a directory. Mode and time come with finish_directory, when nothing is
  /// added any more.
  void set_directory_metadata(int directory, const TarEntry& entry);
  void finish_directory(int directory, const std::string& path, std::uint32_t mode,
                        struct timespec mtime) const;
  /// The same of the directory `name`, which has its mode.
  void set_directory_time(int parent, const std::string& name, const std::string& path,
                          struct timespec mtime) const;

  void make_opaque(int directory, const std::string& path) const;

  /// Attributes that were left out because layers may not carry them or the file system cannot.
  std::uint64_t dropped_xattrs() const noexcept { return dropped_xattrs_; }

 private:
  void set_owner(int file, mode_t type, const TarEntry& entry) const;
  void give_owner(int file, mode_t type, const TarEntry& entry) const;
  void set_xattrs(int file, const TarEntry& entry);
  /// What files get that are created with a mode: the umask and default ACLs have a say in it.
  enum class Created : std::uint8_t { untried, with_the_mode, with_another };
  using CreatedByMode = std::array<Created, 01000>;
  bool needs_only_mode_and_time(const TarEntry& entry) const noexcept;

  XattrNamespace xattrs_;
  bool fresh_tree_;
  uid_t uid_;
  gid_t gid_;
  CreatedByMode created_files_ = {}, created_directories_ = {};
  std::uint64_t dropped_xattrs_ = 0;
};

/// Whether `status` is of a device 0:0, overlayfs' whiteout.
inline bool is_whiteout(const struct ::stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == 0;
}
/// The same of the entry `name` of the directory `parent`, or of what stands for such a device
/// where it cannot be made: an empty file with the attribute user.overlay.whiteout, in a directory
/// with the attribute kWhiteoutsXattr.
bool is_whiteout(int parent, const char* name, const struct ::stat& status) noexcept;
inline constexpr const char* kWhiteoutsXattr = "user.overlay.whiteouts";

/// Makes one or the other; `parent` is open for reading. Returns 0 or errno.
int create_whiteout(int parent, const std::string& name) noexcept;

}  // namespace strake::layers
