#pragma once

#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// Whether two trees in overlay form (directories open for reading) give the same changeset but for
/// times: the same paths, types, modes, owners, attributes, link targets, hard links, whiteouts and
/// bytes. Stops at the first difference.
bool trees_equal(int left, int right, XattrNamespace xattrs);

}  // namespace strake::layers
