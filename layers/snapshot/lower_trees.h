#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// What the trees of a stack show together, for looking up single paths. The trees (in overlay
/// form, bottom first) must outlive the object.
class LowerTrees {
 public:
  LowerTrees(std::span<const std::filesystem::path> bottom_to_top, XattrNamespace xattrs)
      : trees_(bottom_to_top), xattrs_(xattrs) {}

  /// Where the entry is that shows at `path` (without symlinks and a leading "/"), in the tree it
  /// comes from; nullopt if there is none.
  std::optional<std::string> find(const std::string& path) const;

 private:
  std::span<const std::filesystem::path> trees_;
  XattrNamespace xattrs_;
};

}  // namespace strake::layers
