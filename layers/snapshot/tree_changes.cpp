// Two lists of one tree are merged directory by directory, by name. An entry is the one of before
// if it is the same inode, and was changed if its ctime is another: every change of a file sets it,
// and nobody can set it back. The rules for what overlayfs does with a change are:
//
//     a changed entry           is copied up, and with it the directories it is in
//     a name that is gone       is a whiteout in its directory
//     a directory made where    is opaque; in it, and in every other new directory, there are
//     something was before      only new entries and no whiteouts
//
// Files with several names need more thought, because here the names share an inode, while
// overlayfs copies up one name at a time and so takes them apart. What the step did shows in the
// names: see resolve().

#include "layers/snapshot/tree_changes.h"

#include <algorithm>

namespace strake::layers {
namespace {

constexpr std::uint32_t kNothing = ~std::uint32_t{0};

std::uint32_t end_of(const TreeList::Node& node) {
  return node.first_child + node.children;
}

}  // namespace

TreeChanges::TreeChanges(const TreeList& before, const TreeList& after,
                         const std::set<std::string, std::less<>>& disregarded)
    : before_(before),
      after_(after),
      disregarded_(disregarded),
      changes_(after.size(), Change::none) {
  for (std::uint32_t node = 0; node < before_.size(); ++node) {
    const FileMark& mark = before_[node].mark;
    if (mark.links > 1 && !mark.is_directory()) groups_.push_back({.inode = mark.inode});
  }
  std::ranges::sort(groups_, {}, &Group::inode);
  const auto [last, end] = std::ranges::unique(groups_, {}, &Group::inode);
  groups_.erase(last, end);
  for (std::uint32_t node = 0; node < before_.size(); ++node)
    if (Group* group = before_[node].mark.is_directory() ? nullptr : group_of(before_[node].mark))
      ++group->before;

  open_.emplace_back(TreeList::kRoot, TreeList::kRoot);
  while (!open_.empty()) compare();
  std::ranges::sort(removed_);
  for (const Group& group : groups_) resolve(group);
  std::ranges::sort(files_);
}

/// One pair of directories: the same one before and after, or a new one (no `before`).
void TreeChanges::compare() {
  const auto [before, after] = open_.back();
  open_.pop_back();
  std::uint32_t old = 0, old_end = 0;
  if (before != kNothing) {
    old = before_[before].first_child;
    old_end = end_of(before_[before]);
  }
  for (std::uint32_t now = after_[after].first_child; now < end_of(after_[after]); ++now) {
    for (; old < old_end && before_.name(old) < after_.name(now); ++old) {
      removed_.emplace_back(after, old);
      note(after, Change::copied_up);
    }
    if (old == old_end || before_.name(old) != after_.name(now)) {
      add(now, false, before);
    } else if (!before_[old].mark.same_file(after_[now].mark)) {
      add(now, true, before);
      ++old;
    } else {
      compare_entry(old++, now);
    }
  }
  for (; old < old_end; ++old) {
    removed_.emplace_back(after, old);
    note(after, Change::copied_up);
  }
}

/// An entry that is the same inode at the same place.
void TreeChanges::compare_entry(std::uint32_t before, std::uint32_t after) {
  const FileMark& mark = after_[after].mark;
  const bool changed = is_changed(before_[before].mark, after);
  if (mark.is_directory()) {
    if (changed) note(after, Change::copied_up);
    open_.emplace_back(before, after);
  } else if (Group* group = group_of(mark)) {
    group->kept.push_back(after);
    group->touched |= changed;
    group->changed |= changed && !before_[before].mark.same_metadata(mark);
  } else if (changed) {
    note(after, Change::copied_up);
  }
}

void TreeChanges::add(std::uint32_t after, bool over_another, std::uint32_t before_directory) {
  const FileMark& mark = after_[after].mark;
  if (mark.is_directory()) {
    note(after, over_another && before_directory != kNothing ? Change::opaque : Change::made);
    open_.emplace_back(kNothing, after);
    return;
  }
  note(after, Change::made);
  if (Group* group = group_of(mark)) group->added.push_back(after);
}

bool TreeChanges::is_changed(const FileMark& before, std::uint32_t after) const {
  const FileMark& now = after_[after].mark;
  if (before.changed == now.changed) return false;
  if (!disregarded_.empty() && disregarded_.contains(after_.path(after)))
    return !before.same_metadata(now);
  return true;
}

/// A directory with something changed in it is copied up.
void TreeChanges::note(std::uint32_t node, Change change) {
  changes_[node] = change;
  while (node != TreeList::kRoot) {
    node = after_[node].parent;
    if (changes_[node] != Change::none) return;
    changes_[node] = Change::copied_up;
  }
}

TreeChanges::Group* TreeChanges::group_of(const FileMark& mark) {
  if (groups_.empty()) return nullptr;
  const auto group = std::ranges::lower_bound(groups_, mark.inode, {}, &Group::inode);
  return group != groups_.end() && group->inode == mark.inode ? &*group : nullptr;
}

/// Decides which names of a file that had several are files of their own now. As many names as
/// before: those that are new were there under another name. More: they are links to an old one.
void TreeChanges::resolve(const Group& group) {
  const std::vector<std::uint32_t>& kept = group.kept;
  const bool renamed = kept.size() + group.added.size() <= group.before;
  // That a name came or went sets the ctime too.
  const bool only_touched = group.touched && kept.size() == group.before && group.added.empty();
  const bool changed = group.changed || only_touched;
  if (!changed && group.added.empty()) return;  // some names were removed, at most

  std::vector<std::uint32_t> added = group.added;
  if (!renamed && !kept.empty()) added.insert(added.begin(), kept.front());
  // What keeps the inode comes first; what has not changed keeps it anyhow.
  bool is_free = changed || kept.empty();
  if (changed) {
    for (std::size_t i = renamed ? 0 : 1; i < kept.size(); ++i) {
      make_file({kept[i]}, !is_free);
      is_free = false;
    }
  } else if (!renamed) {
    is_free = kept.size() == 1;
  }
  if (!added.empty()) make_file(added, !is_free);
}

void TreeChanges::make_file(const std::vector<std::uint32_t>& names, bool separate) {
  for (const std::uint32_t name : names) {
    if (changes_[name] == Change::none) note(name, Change::copied_up);
    files_.emplace_back(name, names.front());
  }
  if (separate) separated_.push_back(names);
}

std::uint32_t TreeChanges::file_of(std::uint32_t node) const {
  const auto file =
      std::ranges::lower_bound(files_, node, {}, &std::pair<std::uint32_t, std::uint32_t>::first);
  return file != files_.end() && file->first == node ? file->second : kByInode;
}

}  // namespace strake::layers
