#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "layers/snapshot/lower_trees.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// The opaque marks of an upper tree. Overlayfs also marks a new directory that hides nothing, when
/// it is made in, or moved into, one of a lower layer; a layer must not depend on the way in which
/// its directories were made.
class OpaqueMarks {
 public:
  /// The trees below (in overlay form, bottom first) must outlive the object.
  OpaqueMarks(std::span<const std::filesystem::path> bottom_to_top, XattrNamespace xattrs)
      : below_(bottom_to_top, xattrs), xattrs_(xattrs) {}

  /// Whether the marked directory `path`, open as `directory`, hides something of the trees below
  /// that no mark around it hides already. If not, its mark is taken off. To be asked in the order
  /// of a walk. Throws Error(system).
  bool keep_or_drop(int directory, const std::string& path);

 private:
  LowerTrees below_;
  XattrNamespace xattrs_;
  std::string hiding_;  // the last directory that did
};

}  // namespace strake::layers
