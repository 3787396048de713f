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

void take_xattrs(XattrNamespace space, const std::vector<base::Xattr>& xattrs, TarEntry& tar) {
  for (const auto& [name, value] : xattrs) {
    base::RecordedOwner owner;
    if (name == kOwnerXattr && space == XattrNamespace::user &&
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

/// What all types of files have.
void take_status(const struct ::stat& status, TarEntry& tar) {
  tar.mode = status.st_mode & 07777;
  tar.uid = status.st_uid;
  tar.gid = status.st_gid;
  tar.mtime = status.st_mtim;
}

}  // namespace

void describe_file(const struct ::stat& status, std::vector<base::Xattr> xattrs,
                   XattrNamespace space, TarEntry& tar) {
  take_status(status, tar);
  tar.type = EntryType::file;
  tar.size_bytes = static_cast<std::uint64_t>(status.st_size);
  tar.link_target.clear();
  tar.device_major = tar.device_minor = 0;
  tar.xattrs.clear();
  if (xattrs.empty()) return;
  take_tree_marks(space, xattrs);
  take_xattrs(space, xattrs, tar);
}

void FileEntries::describe(int directory, const char* name, const struct ::stat& status,
                           TarEntry& tar) {
  const std::pair<dev_t, ino_t> file(status.st_dev, status.st_ino);
  if (status.st_nlink > 1) {
    if (const auto first = hard_links_.find(file); first != hard_links_.end()) {
      take_status(status, tar);
      tar.type = EntryType::hardlink;
      tar.link_target = first->second.path;
      tar.uid = first->second.uid;
      tar.gid = first->second.gid;
      return;
    }
  }
  describe_file(status, base::xattrs_at(directory, name, tar.path), space_, tar);
  if (status.st_nlink > 1) hard_links_[file] = {tar.path, tar.uid, tar.gid};
}

void clamp_mtime(int directory, const char* name, std::int64_t latest, TarEntry& tar) {
  if (tar.mtime.tv_sec <= latest) return;
  tar.mtime = {static_cast<time_t>(latest), 0};
  const struct timespec times[2] = {{0, UTIME_OMIT}, tar.mtime};
  if (::utimensat(directory, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "set the time of", tar.path);
}

TreeEntries::TreeEntries(int tree, const Options& options)
    : walk_(tree, options.xattrs, options.overlay_form, options.files),
      space_(options.xattrs),
      files_(options.xattrs) {
  if (options.below) marks_.emplace(*options.below, options.xattrs);
}

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

  TarEntry& tar = entry.tar;
  tar = TarEntry();
  tar.path = walk_.path();
  entry.unseen = walk_.is_unseen();
  entry.whiteout = entry.opaque = false;
  if (entry.unseen) return true;

  const struct ::stat& status = walk_.status();
  take_status(status, tar);
  entry.whiteout = walk_.is_whiteout();
  if (entry.whiteout) {
    tar.type = EntryType::character_device;  // also where a file stands for it
    return true;
  }
  switch (status.st_mode & S_IFMT) {
    case S_IFREG:
      files_.describe(walk_.parent(), walk_.name(), status, tar);
      return true;
    case S_IFDIR:
      tar.type = EntryType::directory;
      entry.opaque =
          walk_.is_opaque() && (!marks_ || marks_->keep_or_drop(walk_.directory(), walk_.path()));
      take_xattrs(space_, walk_.directory_xattrs(), tar);
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

}  // namespace strake::layers
