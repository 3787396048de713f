#include "layers/snapshot/opaque_marks.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <string>
#include <vector>

#include "layers/base/directory_reader.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/snapshot/directory_stack.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/lower_trees.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

class Marks {
 public:
  Marks(std::span<const std::filesystem::path> bottom_to_top, XattrNamespace xattrs)
      : below_(bottom_to_top, xattrs), xattrs_(xattrs) {}

  void drop_idle(int upper) {
    stack_.push(open_directory(upper, ".", ""));
    levels_.push_back({subdirectories(stack_.top(), ""), false});
    std::string path;
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.names.empty()) {
        levels_.pop_back();
        if (!levels_.empty()) stack_.pop(path);
        path = std::string(split_path(path).first);
        continue;
      }
      std::string child = join_path(path, level.names.back());
      FileDescriptor directory = open_directory(stack_.top(), level.names.back().c_str(), child);
      level.names.pop_back();
      const bool hidden = level.hidden;
      const bool hides = keep_or_drop(directory.get(), child, hidden);
      levels_.push_back({subdirectories(directory.get(), child), hidden || hides});
      stack_.push(std::move(directory));
      path = std::move(child);
    }
  }

 private:
  static FileDescriptor open_directory(int parent, const char* name, const std::string& path) {
    FileDescriptor directory(::openat(parent, name, kDirectoryFlags));
    if (!directory) throw system_error(errno, "open directory", path);
    return directory;
  }

  struct Level {
    std::vector<std::string> names;  // still to be visited
    bool hidden;                     // nothing of the trees below shows here
  };

  /// Whether the directory hides something: else its mark, if it has one, is taken off.
  bool keep_or_drop(int directory, const std::string& path, bool hidden) const {
    if (!is_opaque(directory, xattrs_)) return false;
    if (!hidden && below_.find(path)) return true;
    if (::fremovexattr(directory, opaque_xattr(xattrs_)) != 0)
      throw system_error(errno, "change the attributes of", path);
    return false;
  }

  static std::vector<std::string> subdirectories(int directory, const std::string& path) {
    std::vector<std::string> names;
    base::DirectoryReader reader(directory);
    while (const ::dirent64* entry = reader.next()) {
      struct ::stat status;
      if (entry->d_type == DT_DIR ||
          (entry->d_type == DT_UNKNOWN &&
           ::fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(status.st_mode)))
        names.emplace_back(entry->d_name);
    }
    if (reader.error() != 0) throw system_error(reader.error(), "read directory", path);
    return names;
  }

  LowerTrees below_;
  XattrNamespace xattrs_;
  DirectoryStack stack_;
  std::vector<Level> levels_;  // by depth
};

}  // namespace

void drop_idle_opaque_marks(int upper, std::span<const std::filesystem::path> bottom_to_top,
                            XattrNamespace xattrs) {
  Marks(bottom_to_top, xattrs).drop_idle(upper);
}

}  // namespace strake::layers
