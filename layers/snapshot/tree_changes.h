#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "layers/snapshot/tree_list.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// What became of the entry of a tree, in the words of an overlay's upper directory.
enum class Change : std::uint8_t {
  none,
  copied_up,  // it, or something in it, was changed
  made,       // it was not there before, or another one was
  opaque,     // a directory made where something was before: nothing of that shows
};

/// The difference of two lists of one tree. Finds what overlayfs would have in its upper directory
/// after the same operations, but for what leaves no trace in a plain tree: which of several names
/// of a file it was changed by. (Files only opened for writing are not copied up:
/// drop_idle_copies().)
class TreeChanges {
 public:
  /// `disregarded`: paths (no leading "/") of which a new ctime alone means nothing, because it was
  /// the builder that touched them. Both lists must outlive the object.
  TreeChanges(const TreeList& before, const TreeList& after,
              const std::set<std::string, std::less<>>& disregarded);

  /// Nothing at all was changed.
  bool empty() const noexcept { return changes_[TreeList::kRoot] == Change::none; }
  /// Of a node of `after`.
  Change of(std::uint32_t node) const { return changes_[node]; }
  /// Names that are gone: nodes of `before`, by the directory of `after` that they were in; sorted.
  const std::vector<std::pair<std::uint32_t, std::uint32_t>>& removed() const { return removed_; }

  /// Names of one file that overlayfs would have as a file of its own, or several names of one: the
  /// first name, for each of the others. What is not here is a link to the inode's first name.
  static constexpr std::uint32_t kByInode = ~std::uint32_t{0};
  std::uint32_t file_of(std::uint32_t node) const;
  /// Those files that share an inode in the tree with others, each as its names. They are to get
  /// one of their own.
  const std::vector<std::vector<std::uint32_t>>& separated() const noexcept { return separated_; }

 private:
  /// A file that had several names before the step.
  struct Group {
    std::uint64_t inode;
    std::uint32_t before = 0;          // names then
    std::vector<std::uint32_t> kept;   // still there
    std::vector<std::uint32_t> added;  // new ones
    bool touched = false;              // its ctime is another
    bool changed = false;              // so is something else
  };

  void compare();
  void compare_entry(std::uint32_t before, std::uint32_t after);
  void add(std::uint32_t after, bool over_another, std::uint32_t before_directory);
  bool is_changed(const FileMark& before, std::uint32_t after) const;
  void note(std::uint32_t node, Change change);
  Group* group_of(const FileMark& mark);
  void resolve(const Group& group);
  void make_file(const std::vector<std::uint32_t>& names, bool separate);

  const TreeList& before_;
  const TreeList& after_;
  const std::set<std::string, std::less<>>& disregarded_;
  std::vector<Change> changes_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> removed_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> open_;   // directories to compare
  std::vector<Group> groups_;                                   // sorted by inode
  std::vector<std::pair<std::uint32_t, std::uint32_t>> files_;  // name, first name; sorted
  std::vector<std::vector<std::uint32_t>> separated_;
};

/// Writes what changed in `root` as a tree in overlay form into the empty directory `upper` (both
/// open for reading), and gives the files that the changes call separate inodes of their own in
/// `root`. Throws Error(system).
void write_upper(const TreeList& before, const TreeList& after, const TreeChanges& changes,
                 int root, int upper, XattrNamespace xattrs);

}  // namespace strake::layers
