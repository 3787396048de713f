#pragma once

#include "builder/sandbox/child_process.h"
#include "builder/sandbox/sandbox_child.h"

namespace strake::sandbox {

/// Starts a step: enter_sandbox(plan) in a child that is in new namespaces as `flags` (CLONE_NEW*)
/// say; none for ChildPlan::in_chroot. The child has become init when this returns, unless it
/// waits at plan.release_fd. Throws Error(system).
ChildProcess clone_child(const ChildPlan& plan, int flags);

}  // namespace strake::sandbox
