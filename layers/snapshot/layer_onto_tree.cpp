#include "layers/snapshot/layer_onto_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <unordered_map>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/directory_stack.h"
#include "layers/snapshot/entry_copier.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/tree_walk.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

FileDescriptor open_directory(int parent, const char* name, const std::string& path) {
  FileDescriptor directory(::openat(parent, name, kDirectoryFlags));
  if (!directory) throw system_error(errno, "open directory", path);
  return directory;
}

class LayerCopy {
 public:
  LayerCopy(int layer, int root, XattrNamespace xattrs)
      : walk_(layer, xattrs, true),
        layer_(open_directory(layer, ".", "layer tree")),
        root_(open_directory(root, ".", "root filesystem")),
        copier_(xattrs) {}

  void copy() {
    if (walk_.root_is_opaque()) clear("");
    from_.push(open_directory(layer_.get(), ".", "layer tree"));
    to_.push(open_directory(root_.fd(), ".", "root filesystem"));
    while (walk_.next()) {
      const std::string_view parent = split_path(walk_.path()).first;
      while (!paths_.empty() && paths_.back() != parent) leave();
      put();
    }
    while (!paths_.empty()) leave();
  }

 private:
  void put() {
    const std::string& path = walk_.path();
    const std::string name = walk_.name();
    if (walk_.is_whiteout()) {
      root_.remove_tree(path);
    } else if (S_ISDIR(walk_.status().st_mode)) {
      put_directory(path, name);
    } else if (!put_file(path, name)) {
      root_.remove_tree(path);
      if (!put_file(path, name)) throw system_error(EEXIST, "create", path);
    }
  }

  void put_directory(const std::string& path, const std::string& name) {
    if (::mkdirat(to_.top(), name.c_str(), 0700) != 0) {
      struct ::stat present;
      if (errno != EEXIST || ::fstatat(to_.top(), name.c_str(), &present, AT_SYMLINK_NOFOLLOW) != 0)
        throw system_error(errno, "create directory", path);
      if (!S_ISDIR(present.st_mode)) {
        root_.remove_file(path);
        if (::mkdirat(to_.top(), name.c_str(), 0700) != 0)
          throw system_error(errno, "create directory", path);
      } else if (walk_.is_opaque()) {
        clear(path);
      }
    }
    FileDescriptor source = open_directory(from_.top(), name.c_str(), path);
    FileDescriptor target = open_directory(to_.top(), name.c_str(), path);
    from_.push(std::move(source));
    to_.push(std::move(target));
    paths_.push_back(path);
  }

  /// False if something is in the way.
  bool put_file(const std::string& path, const std::string& name) {
    const struct ::stat& status = walk_.status();
    if (status.st_nlink > 1) {
      const auto [first, is_first] = links_.try_emplace(status.st_ino, path);
      if (!is_first && first->second != path) {
        const auto [parent, first_name] = root_.open_parent(first->second);
        if (::linkat(parent.get(), first_name.c_str(), to_.top(), name.c_str(), 0) == 0)
          return true;
        if (errno == EEXIST) return false;
        throw system_error(errno, "create hard link", path);
      }
    }
    return copier_.copy(from_.top(), to_.top(), name, status, path);
  }

  void leave() {
    copier_.copy_directory_metadata(from_.top(), to_.top(), paths_.back());
    from_.pop(paths_.back());
    to_.pop(paths_.back());
    paths_.pop_back();
  }

  void clear(const std::string& path) {
    for (const std::string& name : root_.list(path)) root_.remove_tree(join_path(path, name));
  }

  TreeWalk walk_;
  FileDescriptor layer_;
  base::RootedDirectory root_;
  EntryCopier copier_;
  DirectoryStack from_, to_;
  std::vector<std::string> paths_;  // of the directories that are open, but the root
  std::unordered_map<ino_t, std::string> links_;
};

}  // namespace

void put_layer_onto(int layer, int root, XattrNamespace xattrs) {
  LayerCopy(layer, root, xattrs).copy();
}

void copy_times(int layer, int root, XattrNamespace xattrs) {
  const base::RootedDirectory tree(open_directory(root, ".", "root filesystem"));
  TreeWalk walk(layer, xattrs, true);
  while (walk.next()) {
    if (walk.is_whiteout()) continue;
    const struct timespec wanted = walk.status().st_mtim;
    const auto now = tree.lstat(walk.path());
    if (now && (now->st_mtim.tv_sec != wanted.tv_sec || now->st_mtim.tv_nsec != wanted.tv_nsec))
      tree.set_mtime(walk.path(), wanted);
  }
}

}  // namespace strake::layers
