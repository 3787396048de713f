#pragma once

#include <filesystem>
#include <span>

#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// Removes from the upper tree `upper` (open for reading) the files and directories that are what
/// shows of the trees below anyhow: of the same mode, owner, time, attributes and bytes. Overlayfs
/// copies files up when they are opened for writing, written or not, and directories on the way to
/// them; and a plain tree has no trace of that.
///
/// Files with several names, symlinks and others stay. Times of the directories around are as
/// before. Throws Error(system).
void drop_idle_copies(int upper, std::span<const std::filesystem::path> bottom_to_top,
                      XattrNamespace xattrs);

}  // namespace strake::layers
