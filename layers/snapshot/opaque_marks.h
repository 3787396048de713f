#pragma once

#include <filesystem>
#include <span>

#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// Takes opaque marks off directories of the upper tree `upper` (open for reading) that hide
/// nothing of the trees below it, or nothing that another one does not hide already. Overlayfs also
/// marks a new directory that was moved into one of a lower layer; a layer must not depend on the
/// way in which its directories were made.
///
/// Looks at directories only, and at what is below only for those that are marked. Throws
/// Error(system).
void drop_idle_opaque_marks(int upper, std::span<const std::filesystem::path> bottom_to_top,
                            XattrNamespace xattrs);

}  // namespace strake::layers
