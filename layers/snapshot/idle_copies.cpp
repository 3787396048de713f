#include "layers/snapshot/idle_copies.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "layers/base/directory_reader.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/snapshot/directory_stack.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/lower_trees.h"
#include "layers/snapshot/tree_equal.h"
#include "layers/snapshot/tree_walk.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {

constexpr int kOpenFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

FileDescriptor open_entry(int parent, const std::string& name, int flags, const std::string& path) {
  FileDescriptor file(::openat(parent, name.c_str(), kOpenFlags | flags));
  if (!file) throw system_error(errno, "open", path);
  return file;
}

struct ::stat status_of(int fd, const std::string& path) {
  struct ::stat status;
  if (::fstat(fd, &status) != 0) throw system_error(errno, "look at", path);
  return status;
}

bool same_metadata(const struct ::stat& a, const struct ::stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

class IdleCopies {
 public:
  IdleCopies(std::span<const std::filesystem::path> bottom_to_top, XattrNamespace xattrs)
      : below_(bottom_to_top, xattrs), xattrs_(xattrs) {}

  void drop(int upper) {
    enter(open_entry(upper, ".", O_DIRECTORY, ""), "");
    while (!levels_.empty()) {
      if (levels_.back().directories.empty()) {
        leave();
        continue;
      }
      const std::string name = std::move(levels_.back().directories.back());
      levels_.back().directories.pop_back();
      const std::string path = join_path(levels_.back().path, name);
      FileDescriptor directory = open_entry(stack_.top(), name, O_DIRECTORY, path);
      // In a directory that is new there is nothing that could show through.
      if (!is_opaque(directory.get(), xattrs_) && below_.find(path))
        enter(std::move(directory), path);
    }
  }

 private:
  struct Level {
    std::string path;
    std::vector<std::string> directories;  // still to be visited
    struct timespec mtime;                 // as the step left it
    bool changed = false;                  // something was removed from it here
  };

  void enter(FileDescriptor directory, const std::string& path) {
    levels_.push_back({path, {}, status_of(directory.get(), path).st_mtim});
    stack_.push(std::move(directory));
    std::vector<std::string> files;
    base::DirectoryReader reader(stack_.top());
    while (const ::dirent64* entry = reader.next()) {
      if (entry->d_type == DT_DIR) levels_.back().directories.emplace_back(entry->d_name);
      if (entry->d_type == DT_REG) files.emplace_back(entry->d_name);
    }
    if (reader.error() != 0) throw system_error(reader.error(), "read directory", path);
    for (const std::string& name : files)
      if (is_idle_file(name)) remove(name, 0);
  }

  void leave() {
    const Level level = std::move(levels_.back());
    levels_.pop_back();
    restore_mtime(level);
    if (levels_.empty()) return;
    const bool idle = is_idle_directory(level.path);
    stack_.pop(level.path);
    if (idle) remove(std::string(split_path(level.path).second), AT_REMOVEDIR);
  }

  /// A name in the innermost directory.
  void remove(const std::string& name, int flags) {
    if (::unlinkat(stack_.top(), name.c_str(), flags) != 0)
      throw system_error(errno, "remove", join_path(levels_.back().path, name));
    levels_.back().changed = true;
  }

  void restore_mtime(const Level& level) const {
    const struct timespec times[2] = {{0, UTIME_OMIT}, level.mtime};
    if (level.changed && ::futimens(stack_.top(), times) != 0)
      throw system_error(errno, "set the time of", level.path);
  }

  bool is_idle_file(const std::string& name) {
    const std::string path = join_path(levels_.back().path, name);
    const std::optional<std::string> original = below_.find(path);
    if (!original) return false;
    struct ::stat here, there;
    if (::fstatat(stack_.top(), name.c_str(), &here, AT_SYMLINK_NOFOLLOW) != 0 ||
        ::lstat(original->c_str(), &there) != 0)
      throw system_error(errno, "look at", path);
    if (here.st_nlink != 1 || !same_metadata(here, there) || here.st_size != there.st_size)
      return false;
    const FileDescriptor copy = open_entry(stack_.top(), name, 0, path);
    const FileDescriptor shown = open_entry(AT_FDCWD, *original, 0, path);
    return same_xattrs(copy.get(), shown.get(), path) &&
           contents_.equal(copy.get(), shown.get(), static_cast<std::uint64_t>(here.st_size), path);
  }

  /// Of the innermost directory, which is not opaque.
  bool is_idle_directory(const std::string& path) {
    if (!base::list_directory(stack_.top(), path).empty()) return false;
    const std::optional<std::string> original = below_.find(path);
    if (!original) return false;
    const FileDescriptor shown = open_entry(AT_FDCWD, *original, 0, path);
    const struct ::stat there = status_of(shown.get(), path);
    return S_ISDIR(there.st_mode) && same_metadata(status_of(stack_.top(), path), there) &&
           same_xattrs(stack_.top(), shown.get(), path);
  }

  bool same_xattrs(int copy, int shown, const std::string& path) const {
    std::vector<base::Xattr> here, there;
    read_tree_xattrs(copy, path, xattrs_, here);
    read_tree_xattrs(shown, path, xattrs_, there);
    return here == there;
  }

  LowerTrees below_;
  XattrNamespace xattrs_;
  ContentComparison contents_;
  DirectoryStack stack_;
  std::vector<Level> levels_;  // by depth
};

}  // namespace

void drop_idle_copies(int upper, std::span<const std::filesystem::path> bottom_to_top,
                      XattrNamespace xattrs) {
  IdleCopies(bottom_to_top, xattrs).drop(upper);
}

}  // namespace strake::layers
