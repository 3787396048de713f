#include "layers/snapshot/tree_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "layers/base/directory_reader.h"
#include "layers/base/error.h"
#include "layers/snapshot/node_maker.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {

bool is_overlay_xattr(std::string_view name) {
  return name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
}

}  // namespace

TreeMarks read_tree_xattrs(int fd, const std::string& subject, XattrNamespace space,
                           std::vector<base::Xattr>& xattrs) {
  xattrs = base::xattrs_of(fd, subject);
  return take_tree_marks(space, xattrs);
}

TreeMarks take_tree_marks(XattrNamespace space, std::vector<base::Xattr>& xattrs) {
  const std::string_view opaque_name = opaque_xattr(space);
  TreeMarks marks;
  for (const auto& [name, value] : xattrs) {
    marks.opaque |= name == opaque_name && value == "y";
    marks.whiteout_files |= name == kWhiteoutsXattr;
  }
  std::erase_if(xattrs, [](const base::Xattr& xattr) { return is_overlay_xattr(xattr.first); });
  return marks;
}

TreeWalk::TreeWalk(int root, XattrNamespace xattrs, bool overlay_form, Files files)
    : space_(xattrs), overlay_form_(overlay_form), files_(files) {
  // A descriptor of our own: another walk may go on at the same time over the caller's.
  FileDescriptor directory = base::open_for_reading(root, ".", O_DIRECTORY);
  if (!directory) throw system_error(errno, "open", "layer tree");
  root_opaque_ = read_directory_xattrs(directory.get(), "/");
  enter(std::move(directory));
}

/// Whether it is marked opaque.
bool TreeWalk::read_directory_xattrs(int directory, const std::string& path) {
  const TreeMarks marks = read_tree_xattrs(directory, path, space_, xattrs_);
  has_whiteout_files_ = marks.whiteout_files;
  return marks.opaque;
}

void TreeWalk::enter(FileDescriptor directory) {
  levels_.push_back({list(directory.get()), 0, path_.size()});
  stack_.push(std::move(directory));
}

auto TreeWalk::list(int directory) const -> std::vector<Name> {
  std::vector<Name> names;
  base::DirectoryReader reader(directory);
  while (const ::dirent64* entry = reader.next()) {
    bool whiteout = false;
    if (overlay_form_ && (entry->d_type == DT_CHR || entry->d_type == DT_UNKNOWN ||
                          (has_whiteout_files_ && entry->d_type == DT_REG))) {
      struct ::stat status;
      whiteout = ::fstatat(directory, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                 (has_whiteout_files_ ? layers::is_whiteout(directory, entry->d_name, status)
                                      : layers::is_whiteout(status));
    }
    names.push_back({entry->d_name, whiteout, entry->d_type == DT_REG && !whiteout});
  }
  if (reader.error() != 0) throw system_error(reader.error(), "read directory", path_);
  std::ranges::sort(names, [](const Name& a, const Name& b) {
    if (a.whiteout != b.whiteout) return a.whiteout;
    return a.name < b.name;
  });
  return names;
}

bool TreeWalk::next() {
  if (entering_) enter(std::move(entering_));
  while (!levels_.empty() && levels_.back().next == levels_.back().names.size()) {
    levels_.pop_back();
    if (!levels_.empty()) stack_.pop(path_);
  }
  if (levels_.empty()) return false;

  Level& level = levels_.back();
  const Name& entry = level.names[level.next++];
  path_.resize(level.path_size);
  if (!path_.empty()) path_ += '/';
  path_ += entry.name;
  whiteout_ = entry.whiteout;
  opaque_ = false;
  unseen_ = entry.regular && files_ == Files::unseen;
  if (unseen_) return true;
  if (::fstatat(stack_.top(), entry.name.c_str(), &status_, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "look at", path_);
  if (S_ISDIR(status_.st_mode)) {
    entering_ = base::open_for_reading(stack_.top(), entry.name.c_str(), O_DIRECTORY);
    if (!entering_) throw system_error(errno, "open directory", path_);
    opaque_ = read_directory_xattrs(entering_.get(), path_);
  }
  return true;
}

FileDescriptor TreeWalk::open_file() const {
  FileDescriptor file = base::open_for_reading(parent(), name());
  if (!file) throw system_error(errno, "open", path_);
  return file;
}

std::string TreeWalk::read_link() const {
  std::string target(static_cast<std::size_t>(status_.st_size) + 1, '\0');
  while (true) {
    const ssize_t size = ::readlinkat(parent(), name(), target.data(), target.size());
    if (size < 0) throw system_error(errno, "read link", path_);
    if (static_cast<std::size_t>(size) < target.size()) {
      target.resize(static_cast<std::size_t>(size));
      return target;
    }
    target.resize(target.size() * 2);
  }
}

}  // namespace strake::layers
