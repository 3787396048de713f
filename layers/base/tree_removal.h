#pragma once

#include <string>

namespace strake::base {

/// Removes the entry `name` of the open directory `parent` and everything below it; absent is fine.
/// Uses two descriptors whatever the depth, follows no symlink, and refuses (EBUSY) mount points.
/// Returns 0 or -errno; after an error some of the tree is gone. Internal to base.
int remove_entry(int parent, const std::string& name);

}  // namespace strake::base
