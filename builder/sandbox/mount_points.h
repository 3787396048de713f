#pragma once

#include <sys/stat.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/fd.h"
#include "layers/base/rooted_directory.h"

namespace strake::sandbox {

/// The files and directories of a tree on which a step's mounts sit. What the image lacks is made,
/// and removed again by remove() such that the step's changes do not show it:
///  - only what was made here, is still the same file and is empty goes away;
///  - the times of a directory in which something was made are as if that had not happened;
///  - with the upper directory of an overlay at hand, directories that the kernel copied up only
///    for this are removed from it if they say nothing (no entries, same metadata as below).
class MountPoints {
 public:
  /// `upper_fd` is not owned; -1 if the tree is no overlay.
  explicit MountPoints(base::RootedDirectory tree, int upper_fd = -1);
  MountPoints(MountPoints&&) noexcept = default;
  ~MountPoints() { remove(); }

  const base::RootedDirectory& tree() const noexcept { return tree_; }

  /// O_PATH descriptor of `path` (canonical: no symlinks in its directories) to mount a directory
  /// or a file on. What is there is taken if it has the right type; a symlink as the last component
  /// of a file is itself the mount point. Throws Error(invalid_input) if the type is wrong.
  base::FileDescriptor directory(const std::string& path);
  base::FileDescriptor file(const std::string& path);

  /// What was made so far stays.
  void keep_all() noexcept { stubs_.clear(); }

  /// Directories of the tree that something is made in: their ctime is not the step's.
  const std::vector<std::string>& touched() const noexcept { return touched_; }

  /// To be called when no process of the step lives any more; then the tree must not be used for
  /// further changes. Logs what cannot be undone.
  void remove() noexcept;

 private:
  struct Stub {
    std::size_t parent;  // index into parents_
    std::string name;
    base::FileDescriptor itself;  // keeps the inode, so that its number stays its own
    bool is_directory;
  };
  struct CopiedUp {
    struct ::stat before;
    std::vector<base::Xattr> xattrs;
  };

  base::FileDescriptor existing(const std::string& path, bool is_directory) const;
  base::FileDescriptor make(const std::string& path, bool is_directory);
  base::FileDescriptor make_stub(std::size_t parent, const std::string& name, bool is_directory);
  void note_copy_up(const std::string& path);
  void remove_stub(const Stub& stub) const;
  void prune_upper() const;

  base::RootedDirectory tree_;
  std::optional<base::RootedDirectory> upper_;
  std::vector<base::FileDescriptor> parents_;
  std::vector<std::string> touched_;
  std::vector<Stub> stubs_;                    // in the order they were made
  std::map<std::string, CopiedUp> copied_up_;  // by path; parents sort before their children
};

}  // namespace strake::sandbox
