#include "layers/snapshot/layer_onto_tree.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/ordered_jobs.h"
#include "layers/base/rooted_directory.h"
#include "layers/base/trace.h"
#include "layers/base/worker_pool.h"
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

/// A directory that files are copied into, of the layer and of the root.
struct OpenPair {
  FileDescriptor from, to;
};

/// A file whose turn has not come yet.
struct PendingFile {
  std::shared_ptr<const OpenPair> directory;  // shared by the files in it
  std::string path, name;
  struct ::stat status;
};

/// Files that a thread copies at one go.
struct FileBatch {
  std::vector<PendingFile> files;
  std::uint64_t content_bytes = 0;

  bool is_full() const { return files.size() >= kMostFiles || content_bytes >= kMostBytes; }
  static constexpr std::size_t kMostFiles = 64;
  static constexpr std::uint64_t kMostBytes = 4 << 20;
};

/// One thread goes through the layer, makes directories and whatever is no file, and gathers files,
/// which the threads of the pool copy. A name occurs once in a layer, so the order means nothing,
/// but that a directory gets its own metadata when all is in it.
class LayerCopy {
 public:
  LayerCopy(int layer, int root, XattrNamespace xattrs)
      : walk_(layer, xattrs, true),
        layer_(open_directory(layer, ".", "layer tree")),
        root_(open_directory(root, ".", "root filesystem")),
        copier_(xattrs),
        batches_([this](FileBatch& batch) { copy_files(batch); }, [](FileBatch&) {},
                 2 * base::WorkerPool::shared().size()) {}

  void copy() {
    if (walk_.root_is_opaque()) clear("");
    from_.push(open_directory(layer_.get(), ".", "layer tree"));
    to_.push(open_directory(root_.fd(), ".", "root filesystem"));
    while (walk_.next()) {
      const std::string_view parent = split_path(walk_.path()).first;
      while (!levels_.empty() && levels_.back().path != parent) leave();
      put();
    }
    while (!levels_.empty()) leave();
    settle();
  }

 private:
  void put() {
    const std::string& path = walk_.path();
    const std::string name = walk_.name();
    if (walk_.is_whiteout()) {
      root_.remove_tree(path);
    } else if (S_ISDIR(walk_.status().st_mode)) {
      put_directory(path, name);
    } else if (S_ISREG(walk_.status().st_mode) && walk_.status().st_nlink == 1) {
      put_later(path, name);
    } else if (!put_other(path, name)) {
      root_.remove_tree(path);
      if (!put_other(path, name)) throw system_error(EEXIST, "create", path);
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
    levels_.push_back({path});
    pair_.reset();
  }

  void put_later(const std::string& path, const std::string& name) {
    if (!levels_.empty()) levels_.back().has_pending_files = true;
    open_pair();
    FileBatch& batch = batches_.next();
    batch.files.push_back({pair_, path, name, walk_.status()});
    batch.content_bytes += static_cast<std::uint64_t>(walk_.status().st_size);
    if (batch.is_full()) batches_.submit();
  }

  /// In several threads at once.
  void copy_files(FileBatch& batch) {
    const base::TraceSpan span("copy files");
    for (const PendingFile& file : batch.files) {
      const auto copy = [&] {
        return copier_.copy(file.directory->from.get(), file.directory->to.get(), file.name,
                            file.status, file.path);
      };
      if (copy()) continue;
      root_.remove_tree(file.path);
      if (!copy()) throw system_error(EEXIST, "create", file.path);
    }
    batch.files.clear();
    batch.content_bytes = 0;
  }

  /// A link, device or file of several names. False if something is in the way.
  bool put_other(const std::string& path, const std::string& name) {
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

  void open_pair() {
    if (pair_ != nullptr) return;
    const std::string path = levels_.empty() ? "" : levels_.back().path;
    pair_ = std::make_shared<OpenPair>(
        OpenPair{open_directory(from_.top(), ".", path), open_directory(to_.top(), ".", path)});
  }

  void leave() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    if (level.has_pending_files) {
      open_pair();
      unfinished_.emplace_back(pair_, level.path);
    } else {
      copier_.copy_directory_metadata(from_.top(), to_.top(), level.path);
    }
    pair_.reset();
    from_.pop(level.path);
    to_.pop(level.path);
    if (unfinished_.size() >= kMostUnfinished) settle();
  }

  /// Waits for the files, and gives the directories they are in their metadata.
  void settle() {
    if (!batches_.next().files.empty()) batches_.submit();
    batches_.finish();
    for (const auto& [directory, path] : unfinished_)
      copier_.copy_directory_metadata(directory->from.get(), directory->to.get(), path);
    unfinished_.clear();
  }

  void clear(const std::string& path) {
    for (const std::string& name : root_.list(path)) root_.remove_tree(join_path(path, name));
  }

  struct Level {
    std::string path;
    bool has_pending_files = false;
  };
  static constexpr std::size_t kMostUnfinished = 100;  // each has two open descriptors

  TreeWalk walk_;
  FileDescriptor layer_;
  base::RootedDirectory root_;
  EntryCopier copier_;
  DirectoryStack from_, to_;
  std::vector<Level> levels_;             // directories that the walk is in, but the root
  std::shared_ptr<const OpenPair> pair_;  // of the innermost, once needed
  std::vector<std::pair<std::shared_ptr<const OpenPair>, std::string>> unfinished_;
  std::unordered_map<ino_t, std::string> links_;
  base::OrderedJobs<FileBatch> batches_;  // the last member: its jobs use the others
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
