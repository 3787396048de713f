#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/base/fd.h"

namespace strake::base {

class EntryPlace;

/// Whether the owners of a tree are all in its inodes, or some of them are records beside those
/// (recorded_owner.h), as trees that were made in user namespaces have them.
enum class Owners { real, recorded };

/// An extended attribute: name and raw value.
using Xattr = std::pair<std::string, std::string>;

/// A directory that paths cannot leave: each path is resolved as if the directory were the root of
/// the file system (chroot), symlinks and ".." included, by openat2(RESOLVE_IN_ROOT |
/// RESOLVE_NO_MAGICLINKS), or by a component-wise walk on kernels and in sandboxes without it.
///
/// This is the only file API that may be used on trees whose content is not ours: base images,
/// stages, build contexts. Paths are byte strings; a leading "/" is optional; "" and "." are the
/// directory itself. Every failure throws system_error with the path as the subject unless said
/// otherwise. One object may be used by several threads.
class RootedDirectory {
 public:
  /// Opens the directory `path` of the host (O_PATH: it need not be readable). Throws Error.
  static RootedDirectory open_host(std::string_view path, Owners owners = Owners::real);
  /// Takes an open directory; `name` is shown in messages in front of the paths ("" for none). With
  /// Owners::recorded, stat and lstat say what is recorded, set_owner records what it cannot do,
  /// and xattrs does not show records.
  explicit RootedDirectory(FileDescriptor directory, std::string name = "",
                           Owners owners = Owners::real);

  int fd() const noexcept { return directory_.get(); }
  const std::string& name() const noexcept { return name_; }
  Owners owners() const noexcept { return owners_; }
  RootedDirectory duplicate() const;

  /// Opens `path`, following symlinks inside the root; O_CLOEXEC is implied. O_CREAT is not
  /// allowed: see create_file. Opening a FIFO or device for reading never blocks (O_NONBLOCK).
  FileDescriptor open(std::string_view path, int flags) const;
  /// The same, but "not there" (ENOENT, ENOTDIR, and ELOOP of a symlink loop) is nullopt.
  std::optional<FileDescriptor> try_open(std::string_view path, int flags) const;
  /// A sub-directory as a root of its own (symlinks on the way are followed inside this root).
  RootedDirectory subdirectory(std::string_view path) const;

  /// Metadata of `path`; nullopt if it is not there. lstat does not follow a symlink in the last
  /// component, stat does (inside the root).
  std::optional<struct ::stat> lstat(std::string_view path) const;
  std::optional<struct ::stat> stat(std::string_view path) const;
  std::string read_link(std::string_view path) const;
  /// The path without symlinks that `path` leads to, "/"-led, as far as it exists; what does not
  /// exist is appended as it is (".." in it taken lexically). Throws Error(ELOOP) after 40 links.
  std::string canonical(std::string_view path) const;

  // Making. The parent is resolved inside the root; the last component is never followed, and
  // slashes after it mean nothing. Modes are exact: the umask does not apply.

  /// Creates `path` and opens it for writing (O_EXCL: it must not be there).
  FileDescriptor create_file(std::string_view path, mode_t mode) const;
  void make_directory(std::string_view path, mode_t mode) const;
  /// mkdir -p. Existing directories (and symlinks to directories) are left as they are. Returns the
  /// canonical paths of the directories it created, outermost first.
  std::vector<std::string> make_directories(std::string_view path, mode_t mode) const;
  void make_symlink(std::string_view target, std::string_view path) const;
  void make_node(std::string_view path, mode_t mode, dev_t device) const;
  /// A hard link to `existing`; neither last component is followed.
  void make_link(std::string_view existing, std::string_view path) const;
  void rename(std::string_view from, std::string_view to) const;  // last components not followed

  /// Removes `path` and everything below it; absent is fine. Iterative, never follows a symlink,
  /// and refuses (EBUSY) mount points. The root itself cannot be removed.
  void remove_tree(std::string_view path) const;
  void remove_file(std::string_view path) const;  // unlink; absent is fine

  /// Names in the directory `path`, sorted bytewise, without "." and "..".
  std::vector<std::string> list(std::string_view path) const;

  // Metadata, also of the root itself (""). None follows a symlink in the last component.
  void set_owner(std::string_view path, uid_t uid, gid_t gid) const;
  void set_mode(std::string_view path, mode_t mode) const;  // not for symlinks
  void set_mtime(std::string_view path, struct timespec mtime) const;
  std::vector<Xattr> xattrs(std::string_view path) const;  // sorted by name; none where unsupported
  void set_xattr(std::string_view path, const std::string& name, std::string_view value) const;

  /// Opens the parent directory of `path` (O_PATH) and yields the last component's name. Throws
  /// Error(invalid_input) when `path` has no last component ("", "/", "..").
  std::pair<FileDescriptor, std::string> open_parent(std::string_view path) const;

 private:
  std::string shown(std::string_view path) const;
  /// Throws system_error for a -errno.
  void check(int result, const char* operation, std::string_view path) const;
  EntryPlace place_of(std::string_view path, const char* operation) const;
  EntryPlace named_place_of(std::string_view path, const char* operation) const;
  std::optional<struct ::stat> status_of(std::string_view path, int flags) const;

  FileDescriptor directory_;
  std::string name_;
  Owners owners_;
};

/// openat2-like resolution of `path` inside the directory `root`: the kernel's where it is there
/// (EAGAIN retried), else the walk in user space, which STRAKE_NO_OPENAT2=1 forces. `flags` may
/// hold O_CREAT with `mode`. Returns the descriptor or -errno; never throws.
int open_in_root(int root, const std::string& path, int flags, mode_t mode = 0) noexcept;

/// Attributes of an open file, sorted by name; none where the file system has none.
std::vector<Xattr> xattrs_of(int fd, std::string_view subject);
/// The same of the entry `name` of an open directory, of a symlink its own. Usually there are none,
/// and one system call says so.
std::vector<Xattr> xattrs_at(int directory, const char* name, std::string_view subject);

/// Sorted names in the open directory `directory` (not O_PATH), without "." and "..".
std::vector<std::string> list_directory(int directory, std::string_view subject);

}  // namespace strake::base
