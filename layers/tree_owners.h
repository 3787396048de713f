#pragma once

#include <filesystem>
#include <string>

#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// What files in trees of this process are like: how overlayfs' marks are written, and which ids of
/// the machine stand for the owners. One line; trees of processes with the same text are the same.
std::string describe_owners(XattrNamespace xattrs);

/// Holds the store at `root` to one kind of trees: notes ours in its file "owners", or throws
/// Error(unsupported) if it has others.
void require_own_trees(const std::filesystem::path& root, XattrNamespace xattrs);

}  // namespace strake::layers
