#include "layers/snapshot/tree_entries.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

#include "layers/base/error.h"
#include "layers/snapshot/node_maker.h"
#include "layers/snapshot/whiteout.h"

namespace strake::layers {
using base::system_error;

namespace {

void take_owner(TarEntry& tar, const base::RecordedOwner& owner) {
  struct ::stat status = {};
  status.st_uid = tar.uid;
  status.st_gid = tar.gid;
  base::apply_recorded_owner(owner, status);
  tar.uid = status.st_uid;
  tar.gid = status.st_gid;
  tar.device_major = owner.device_major;
  tar.device_minor = owner.device_minor;
}

}  // namespace

bool TreeEntries::next(TreeEntry& entry) {
  while (walk_.next()) {
    if (describe(entry)) return true;
  }
  return false;
}

/// False for what has no place in a layer.
bool TreeEntries::describe(TreeEntry& entry) {
  const std::string_view name = walk_.name();
  if (name.starts_with(kWhiteoutPrefix))
    throw base::Error(base::ErrorCode::invalid_input,
                      "cannot store " + base::quoted(walk_.path()) +
                          " in a layer: names that begin with \".wh.\" mean removed files there")
        .hint("give the file another name, or remove it in the step that makes it");

  const struct ::stat& status = walk_.status();
  TarEntry& tar = entry.tar;
  tar = TarEntry();
  tar.path = walk_.path();
  tar.mode = status.st_mode & 07777;
  tar.uid = status.st_uid;
  tar.gid = status.st_gid;
  tar.mtime = status.st_mtim;
  entry.whiteout = walk_.is_whiteout();
  entry.opaque = false;
  if (entry.whiteout) {
    tar.type = EntryType::character_device;  // also where a file stands for it
    return true;
  }
  switch (status.st_mode & S_IFMT) {
    case S_IFREG:
      describe_file(entry);
      return true;
    case S_IFDIR:
      tar.type = EntryType::directory;
      entry.opaque = walk_.is_opaque();
      take_xattrs(tar, walk_.directory_xattrs());
      return true;
    case S_IFLNK:
      tar.type = EntryType::symlink;
      tar.mode = 0777;  // the kernel's constant; some file systems keep another
      tar.link_target = walk_.read_link();
      describe_owner(tar);
      return true;
    case S_IFIFO:
      tar.type = EntryType::fifo;
      describe_owner(tar);
      return true;
    case S_IFCHR:
    case S_IFBLK:
      tar.type = S_ISCHR(status.st_mode) ? EntryType::character_device : EntryType::block_device;
      tar.device_major = gnu_dev_major(status.st_rdev);
      tar.device_minor = gnu_dev_minor(status.st_rdev);
      return !tar.is_overlay_whiteout();
    default:
      return false;  // sockets mean nothing without the process that made them
  }
}

void TreeEntries::describe_file(TreeEntry& entry) {
  const struct ::stat& status = walk_.status();
  TarEntry& tar = entry.tar;
  const std::pair<dev_t, ino_t> file(status.st_dev, status.st_ino);
  if (status.st_nlink > 1) {
    if (const auto first = hard_links_.find(file); first != hard_links_.end()) {
      tar.type = EntryType::hardlink;
      tar.link_target = first->second.path;
      tar.uid = first->second.uid;
      tar.gid = first->second.gid;
      return;
    }
  }
  tar.size_bytes = static_cast<std::uint64_t>(status.st_size);
  std::vector<base::Xattr> xattrs = base::xattrs_at(walk_.parent(), walk_.name(), tar.path);
  take_tree_marks(space_, xattrs);
  take_xattrs(tar, xattrs);
  if (status.st_nlink > 1) hard_links_[file] = {tar.path, tar.uid, tar.gid};
}

/// Of what can have no attributes but the record itself.
void TreeEntries::describe_owner(TarEntry& tar) const {
  if (space_ != XattrNamespace::user) return;
  const base::FileDescriptor file(
      ::openat(walk_.parent(), walk_.name(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file) throw system_error(errno, "open", tar.path);
  const auto owner =
      base::read_recorded_owner(base::DescriptorPath(file.get()).c_str(), walk_.status().st_mode);
  if (owner) take_owner(tar, *owner);
}

void TreeEntries::take_xattrs(TarEntry& tar, const std::vector<base::Xattr>& xattrs) const {
  for (const auto& [name, value] : xattrs) {
    base::RecordedOwner owner;
    if (name == kOwnerXattr && space_ == XattrNamespace::user &&
        base::parse_recorded_owner(value, owner)) {
      take_owner(tar, owner);
      if (owner.mode == 0) continue;
      tar.type = S_ISBLK(owner.mode) ? EntryType::block_device : EntryType::character_device;
      tar.size_bytes = 0;
    } else if (is_layer_xattr(name, value)) {
      tar.xattrs.emplace_back(name, value);
    }
  }
}

void TreeEntries::set_mtime(TreeEntry& entry, struct timespec mtime) const {
  const struct timespec times[2] = {{0, UTIME_OMIT}, mtime};
  if (::utimensat(walk_.parent(), walk_.name(), times, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "set the time of", entry.tar.path);
  entry.tar.mtime = mtime;
}

}  // namespace strake::layers
