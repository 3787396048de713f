#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <vector>

#include "layers/base/fd.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/directory_stack.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// Goes through a tree of ours in the order of a layer (path_before, whiteouts before their
/// siblings), following no symlink and without recursion.
///
///     TreeWalk walk(fd, options);
///     while (walk.next()) use(walk.path(), walk.status());
class TreeWalk {
 public:
  enum class Files {
    looked_at,
    unseen,  // of regular files there is no status(): whoever reads them is going to have it anyway
  };

  /// `root` is a directory open for reading; it is not an entry itself.
  TreeWalk(int root, XattrNamespace xattrs, bool overlay_form, Files files = Files::looked_at);

  /// Goes to the next entry; false after the last. A directory's entries come after it.
  bool next();

  const std::string& path() const noexcept { return path_; }
  const struct ::stat& status() const noexcept { return status_; }
  bool is_whiteout() const noexcept { return whiteout_; }
  /// A regular file that was not looked at.
  bool is_unseen() const noexcept { return unseen_; }

  /// Of a directory: its attributes, but overlayfs' own; and whether it hides lower layers'.
  const std::vector<base::Xattr>& directory_xattrs() const noexcept { return xattrs_; }
  bool is_opaque() const noexcept { return opaque_; }
  bool root_is_opaque() const noexcept { return root_opaque_; }

  /// The entry, a regular file, for reading.
  base::FileDescriptor open_file() const;
  /// The directory that the walk is about to enter.
  int directory() const noexcept { return entering_.get(); }
  std::string read_link() const;
  /// The directory the entry is in, and its name there.
  int parent() const noexcept { return stack_.top(); }
  const char* name() const noexcept { return levels_.back().current().name.c_str(); }

 private:
  struct Name {
    std::string name;
    bool whiteout;
    bool regular;  // for sure
  };
  struct Level {
    std::vector<Name> names;
    std::size_t next = 0;
    std::size_t path_size = 0;  // of the directory's own path
    const Name& current() const { return names[next - 1]; }
  };

  void enter(base::FileDescriptor directory);
  bool read_directory_xattrs(int directory, const std::string& path);
  std::vector<Name> list(int directory) const;

  XattrNamespace space_;
  bool overlay_form_;
  Files files_;
  DirectoryStack stack_;
  std::vector<Level> levels_;
  std::string path_;
  struct ::stat status_ = {};
  bool whiteout_ = false, unseen_ = false;
  bool opaque_ = false, root_opaque_ = false;
  std::vector<base::Xattr> xattrs_;
  bool has_whiteout_files_ = false;  // the directory whose attributes were read last
  base::FileDescriptor entering_;    // the directory that is the current entry
};

/// Marks that are attributes of a file or directory.
struct TreeMarks {
  bool opaque = false;
  bool whiteout_files = false;  // there are some in it: see is_whiteout()
};
/// All attributes of an open file but overlayfs' own, sorted, and what those say.
TreeMarks read_tree_xattrs(int fd, const std::string& subject, XattrNamespace space,
                           std::vector<base::Xattr>& xattrs);
/// Takes overlayfs' own out, and says what they say.
TreeMarks take_tree_marks(XattrNamespace space, std::vector<base::Xattr>& xattrs);

}  // namespace strake::layers
