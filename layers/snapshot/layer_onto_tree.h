#pragma once

#include <string>

#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// Puts the tree of a layer (overlay form) on top of the tree `root`, by copying: what overlayfs
/// would show of the two. Both are directories open for reading. Throws Error(system); `root` is
/// half changed then.
void put_layer_onto(int layer, int root, XattrNamespace xattrs);

/// Gives what is in the tree of a layer the times that it has there, in `root` too: sealing a layer
/// may clamp them.
void copy_times(int layer, int root, XattrNamespace xattrs);

}  // namespace strake::layers
