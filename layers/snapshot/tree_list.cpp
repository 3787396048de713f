#include "layers/snapshot/tree_list.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>

#include "layers/base/directory_reader.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/snapshot/directory_stack.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::int64_t nanoseconds(const struct ::statx_timestamp& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

FileMark mark_of(int directory, const char* name, int flags) {
  struct ::statx status;
  if (::statx(directory, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_BTIME, &status) != 0)
    throw system_error(errno, "look at", name);
  FileMark mark;
  mark.inode = status.stx_ino;
  if ((status.stx_mask & STATX_BTIME) != 0) mark.born = nanoseconds(status.stx_btime);
  mark.changed = nanoseconds(status.stx_ctime);
  mark.modified = nanoseconds(status.stx_mtime);
  // The size of a directory is the file system's own business.
  if (!S_ISDIR(status.stx_mode)) mark.size_bytes = status.stx_size;
  mark.device = ::makedev(status.stx_rdev_major, status.stx_rdev_minor);
  mark.mode = status.stx_mode;
  mark.uid = status.stx_uid;
  mark.gid = status.stx_gid;
  mark.links = status.stx_nlink;
  return mark;
}

}  // namespace

bool FileMark::is_directory() const noexcept {
  return S_ISDIR(mode);
}

bool FileMark::same_file(const FileMark& other) const noexcept {
  return inode == other.inode && born == other.born && (mode & S_IFMT) == (other.mode & S_IFMT);
}

bool FileMark::same_metadata(const FileMark& other) const noexcept {
  return modified == other.modified && size_bytes == other.size_bytes && device == other.device &&
         mode == other.mode && uid == other.uid && gid == other.gid;
}

TreeList::TreeList(int root) {
  DirectoryStack directories;
  nodes_.emplace_back().mark = mark_of(root, "", AT_EMPTY_PATH);
  directories.push(FileDescriptor(::openat(root, ".", kDirectoryFlags)));
  if (directories.top() < 0) throw system_error(errno, "open", "root filesystem");
  read_directory(directories.top(), kRoot);

  // The entries of each open directory that are still to be entered.
  struct Level {
    std::uint32_t next, end;
  };
  std::vector<Level> levels{{nodes_[kRoot].first_child, size()}};
  while (true) {
    Level& level = levels.back();
    while (level.next < level.end && !nodes_[level.next].mark.is_directory()) ++level.next;
    if (level.next == level.end) {
      levels.pop_back();
      if (levels.empty()) return;
      directories.pop("root filesystem");
      continue;
    }
    const std::uint32_t index = level.next++;
    const std::string name_of_entry(name(index));
    FileDescriptor directory(::openat(directories.top(), name_of_entry.c_str(), kDirectoryFlags));
    if (!directory) throw system_error(errno, "open directory", path(index));
    read_directory(directory.get(), index);
    if (nodes_[index].children == 0) continue;
    directories.push(std::move(directory));
    levels.push_back({nodes_[index].first_child, size()});
  }
}

/// Appends the entries of the directory that is node `index`.
void TreeList::read_directory(int directory, std::uint32_t index) {
  const std::uint32_t first = size();
  base::DirectoryReader reader(directory);
  while (const ::dirent64* entry = reader.next()) {
    Node node;
    node.mark = mark_of(directory, entry->d_name, 0);
    node.parent = index;
    node.name_begin = static_cast<std::uint32_t>(names_.size());
    names_ += entry->d_name;
    node.name_size = static_cast<std::uint32_t>(names_.size()) - node.name_begin;
    nodes_.push_back(node);
  }
  if (reader.error() != 0) throw system_error(reader.error(), "read directory", path(index));
  const std::string_view names = names_;
  std::sort(nodes_.begin() + first, nodes_.end(), [names](const Node& a, const Node& b) {
    return names.substr(a.name_begin, a.name_size) < names.substr(b.name_begin, b.name_size);
  });
  nodes_[index].first_child = first;
  nodes_[index].children = size() - first;
}

std::string TreeList::path(std::uint32_t index) const {
  std::string path(name(index));
  while (index != kRoot && (index = nodes_[index].parent) != kRoot)
    path.insert(0, std::string(name(index)) + "/");
  return path;
}

}  // namespace strake::layers
