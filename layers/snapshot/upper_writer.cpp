// Writes the changes of a tree as the upper directory that overlayfs would have.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>

#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/directory_stack.h"
#include "layers/snapshot/entry_copier.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/tree_changes.h"

namespace strake::layers {
using base::FileDescriptor;
using base::RootedDirectory;
using base::system_error;

namespace {

constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

FileDescriptor open_child(int parent, const std::string& name, const std::string& path) {
  FileDescriptor directory(::openat(parent, name.c_str(), kDirectoryFlags));
  if (!directory) throw system_error(errno, "open directory", path);
  return directory;
}

class UpperWriter {
 public:
  UpperWriter(const TreeList& before, const TreeList& after, const TreeChanges& changes, int root,
              int upper, XattrNamespace xattrs)
      : before_(before),
        after_(after),
        changes_(changes),
        root_(open_child(root, ".", "/"), ""),
        upper_(open_child(upper, ".", "/"), ""),
        copier_(xattrs),
        maker_(xattrs, false) {}

  void write() {
    from_.push(open_child(root_.fd(), ".", "/"));
    to_.push(open_child(upper_.fd(), ".", "/"));
    enter(TreeList::kRoot);
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.next == level.end) {
        leave();
      } else if (changes_.of(level.next++) != Change::none) {
        write_entry(level.next - 1);
      }
    }
    for (const std::vector<std::uint32_t>& names : changes_.separated()) separate(names);
  }

 private:
  struct Level {
    std::uint32_t directory, next, end;
  };

  /// The directory is open in both trees; its whiteouts are written first.
  void enter(std::uint32_t directory) {
    const TreeList::Node& node = after_[directory];
    levels_.push_back({directory, node.first_child, node.first_child + node.children});
    const auto& removed = changes_.removed();
    auto name = std::ranges::lower_bound(removed, directory, {},
                                         &std::pair<std::uint32_t, std::uint32_t>::first);
    for (; name != removed.end() && name->first == directory; ++name) {
      const std::string gone(before_.name(name->second));
      if (const int error = create_whiteout(to_.top(), gone); error != 0)
        throw system_error(error, "create whiteout", gone);
    }
  }

  /// Metadata at the end: every entry that is added to a directory sets its time.
  void leave() {
    const std::uint32_t directory = levels_.back().directory;
    levels_.pop_back();
    if (levels_.empty()) return;
    const std::string path = after_.path(directory);
    copier_.copy_directory_metadata(from_.top(), to_.top(), path);
    if (changes_.of(directory) == Change::opaque) maker_.make_opaque(to_.top(), path);
    from_.pop(path);
    to_.pop(path);
  }

  void write_entry(std::uint32_t node) {
    const std::string name(after_.name(node));
    const std::string path = after_.path(node);
    if (!after_[node].mark.is_directory()) return write_file(node, name, path);
    if (::mkdirat(to_.top(), name.c_str(), 0700) != 0)
      throw system_error(errno, "create directory", path);
    // Both before either is entered: on failure neither stack has moved.
    FileDescriptor source = open_child(from_.top(), name, path);
    FileDescriptor target = open_child(to_.top(), name, path);
    from_.push(std::move(source));
    to_.push(std::move(target));
    enter(node);
  }

  void write_file(std::uint32_t node, const std::string& name, const std::string& path) {
    const FileMark& mark = after_[node].mark;
    std::uint32_t* first = nullptr;
    if (const std::uint32_t file = changes_.file_of(node); file != TreeChanges::kByInode)
      first = &files_.try_emplace(file, node).first->second;
    else if (mark.links > 1)
      first = &inodes_.try_emplace(mark.inode, node).first->second;
    if (first != nullptr && *first != node) {
      const auto [parent, first_name] = upper_.open_parent(after_.path(*first));
      if (::linkat(parent.get(), first_name.c_str(), to_.top(), name.c_str(), 0) != 0)
        throw system_error(errno, "create hard link", path);
      return;
    }
    struct ::stat status;
    if (::fstatat(from_.top(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      throw system_error(errno, "look at", path);
    copier_.copy(from_.top(), to_.top(), name, status, path);
  }

  /// Gives `names` an inode of their own in the tree, as they have in the layer.
  void separate(const std::vector<std::uint32_t>& names) {
    const std::string first = after_.path(names.front());
    const auto [upper_parent, name] = upper_.open_parent(first);
    for (const std::uint32_t node : names) {
      const std::string path = after_.path(node);
      const RootedDirectory parent = root_.subdirectory(parent_of(path));
      const struct ::stat times = parent.stat("").value();
      parent.remove_file(split_path(path).second);
      if (node == names.front()) {
        const FileDescriptor from = open_child(upper_parent.get(), ".", path);
        const FileDescriptor to = open_child(parent.fd(), ".", path);
        struct ::stat status;
        if (::fstatat(from.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
          throw system_error(errno, "look at", path);
        copier_.copy(from.get(), to.get(), name, status, path);
      } else {
        root_.make_link(first, path);
      }
      parent.set_mtime("", times.st_mtim);
    }
  }

  static std::string_view parent_of(std::string_view path) { return split_path(path).first; }

  const TreeList& before_;
  const TreeList& after_;
  const TreeChanges& changes_;
  RootedDirectory root_, upper_;
  EntryCopier copier_;
  NodeMaker maker_;
  DirectoryStack from_, to_;
  std::vector<Level> levels_;
  std::unordered_map<std::uint32_t, std::uint32_t> files_;   // TreeChanges::file_of -> first name
  std::unordered_map<std::uint64_t, std::uint32_t> inodes_;  // inode -> first name
};

}  // namespace

void write_upper(const TreeList& before, const TreeList& after, const TreeChanges& changes,
                 int root, int upper, XattrNamespace xattrs) {
  UpperWriter(before, after, changes, root, upper, xattrs).write();
}

}  // namespace strake::layers
