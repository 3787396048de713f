#pragma once

#include <cstdint>

#include "builder/sandbox/mount.h"

namespace strake::sandbox {

/// sysfs with the builder's network; where it cannot be mounted (in a user namespace that does not
/// own its network) a copy of the builder's /sys with all that is mounted in it. Throws
/// Error(system).
DetachedMount make_sysfs(std::uint64_t attributes);

/// Whether a step can have a procfs of its own. The kernel refuses it in a user namespace whose
/// /proc is partly covered: as in a container that runs in one.
bool can_mount_proc();

/// A read-only copy of the builder's /proc, for steps that cannot have their own: they see, but
/// cannot touch, processes outside. Warns once. Throws Error(system).
DetachedMount copy_host_proc();

}  // namespace strake::sandbox
