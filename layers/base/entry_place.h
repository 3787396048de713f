#pragma once

#include <string>
#include <string_view>

#include "layers/base/fd.h"

namespace strake::base {

/// Where an entry of a rooted tree is: an open directory and a name in it, to be used with the
/// *at() calls. Internal to base.
class EntryPlace {
 public:
  /// Resolves the parent of `path` inside `root`, which must stay open; the last component is not
  /// looked at. A path without one ("", "/", "a/..") is the "." of the directory it leads to.
  /// Returns 0 or -errno.
  int find(int root, std::string_view path);

  int directory() const noexcept { return directory_; }
  const char* name() const noexcept { return name_.c_str(); }
  bool is_named() const noexcept { return name_ != "."; }
  bool is_in_root() const noexcept { return !parent_; }
  FileDescriptor take_parent() noexcept { return std::move(parent_); }

 private:
  FileDescriptor parent_;  // none: the root itself, which needs no descriptor of its own
  int directory_ = -1;
  std::string name_;
};

}  // namespace strake::base
