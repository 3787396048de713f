#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "layers/archive/tar_entry.h"
#include "layers/base/fd.h"
#include "layers/snapshot/opaque_marks.h"
#include "layers/snapshot/tree_walk.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// What a tree has at a path, as a tar would say it.
struct TreeEntry {
  TarEntry tar;         // with the path itself, also for whiteouts
  bool unseen = false;  // a regular file that was not looked at: there is its path only
  bool whiteout = false;
  bool opaque = false;  // of a directory

  /// Whether there are bytes to read, be it none.
  bool is_file() const noexcept { return tar.type == EntryType::file && !whiteout; }
};

/// Says of the regular files of a tree what a tar would say, in layer order: the second and later
/// names of a file are hard links to the first one.
class FileEntries {
 public:
  explicit FileEntries(XattrNamespace xattrs) : space_(xattrs) {}

  /// Fills `tar`, which has its path, for the file `name` of a directory; `status` is the file's.
  void describe(int directory, const char* name, const struct ::stat& status, TarEntry& tar);

 private:
  /// The first path of a file that has several, and its owner there.
  struct FirstLink {
    std::string path;
    std::uint32_t uid, gid;
  };

  XattrNamespace space_;
  std::map<std::pair<dev_t, ino_t>, FirstLink> hard_links_;
};

/// The same for a file with one name; nothing but the path stays of what was in `tar`. `xattrs` are
/// all that the file has.
void describe_file(const struct ::stat& status, std::vector<base::Xattr> xattrs,
                   XattrNamespace space, TarEntry& tar);

/// Makes a later time of a file or directory this one, seconds since 1970, in the tree and in
/// `tar`.
void clamp_mtime(int directory, const char* name, std::int64_t latest, TarEntry& tar);

/// The entries of a tree in layer order: sockets left out, attributes filtered, recorded owners and
/// devices put back, the second and later hard links of a file as such.
class TreeEntries {
 public:
  struct Options {
    XattrNamespace xattrs = XattrNamespace::trusted;
    bool overlay_form = true;
    TreeWalk::Files files = TreeWalk::Files::looked_at;
    /// Of an upper directory: what it lies on, bottom first. Opaque marks that hide nothing of that
    /// are taken off.
    std::optional<std::span<const std::filesystem::path>> below = std::nullopt;
  };

  TreeEntries(int tree, const Options& options);

  /// Fills `entry` with the next one; false after the last. Throws Error(invalid_input) for a name
  /// that a layer could not tell from a whiteout.
  bool next(TreeEntry& entry);
  bool root_is_opaque() const noexcept { return walk_.root_is_opaque(); }
  /// The current entry, a file, for reading from its beginning.
  base::FileDescriptor open_content() const { return walk_.open_file(); }
  /// The directory the current entry is in.
  int parent() const noexcept { return walk_.parent(); }
  /// The name of the current entry there.
  const char* name() const noexcept { return walk_.name(); }

 private:
  bool describe(TreeEntry& entry);
  void describe_owner(TarEntry& tar) const;

  TreeWalk walk_;
  XattrNamespace space_;
  FileEntries files_;
  std::optional<OpaqueMarks> marks_;
};

}  // namespace strake::layers
