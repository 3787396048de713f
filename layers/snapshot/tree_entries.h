#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "layers/archive/tar_entry.h"
#include "layers/base/fd.h"
#include "layers/snapshot/tree_walk.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// What a tree has at a path, as a tar would say it.
struct TreeEntry {
  TarEntry tar;  // with the path itself, also for whiteouts
  bool whiteout = false;
  bool opaque = false;  // of a directory

  /// Whether there are bytes to read, be it none.
  bool is_file() const noexcept { return tar.type == EntryType::file && !whiteout; }
};

/// The entries of a tree in layer order: sockets left out, attributes filtered, recorded owners and
/// devices put back, the second and later hard links of a file as such.
class TreeEntries {
 public:
  TreeEntries(int tree, XattrNamespace xattrs, bool overlay_form)
      : walk_(tree, xattrs, overlay_form), space_(xattrs) {}

  /// Fills `entry` with the next one; false after the last. Throws Error(invalid_input) for a name
  /// that a layer could not tell from a whiteout.
  bool next(TreeEntry& entry);
  bool root_is_opaque() const noexcept { return walk_.root_is_opaque(); }
  /// The current entry, a file, for reading from its beginning.
  base::FileDescriptor open_content() const { return walk_.open_file(); }
  /// Sets the time of the current entry, in the tree and in `entry`.
  void set_mtime(TreeEntry& entry, struct timespec mtime) const;

 private:
  /// The first path of a file that has several, and its owner there.
  struct FirstLink {
    std::string path;
    std::uint32_t uid, gid;
  };

  bool describe(TreeEntry& entry);
  void describe_file(TreeEntry& entry);
  void describe_owner(TarEntry& tar) const;
  void take_xattrs(TarEntry& tar, const std::vector<base::Xattr>& xattrs) const;

  TreeWalk walk_;
  XattrNamespace space_;
  std::map<std::pair<dev_t, ino_t>, FirstLink> hard_links_;
};

}  // namespace strake::layers
