#pragma once

#include <functional>
#include <string>

#include "builder/sandbox/cgroup.h"
#include "builder/sandbox/oom_watch.h"
#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/supervisor.h"

namespace strake::sandbox {

/// How the command ended, from what was seen of its step. `target_of` names the mount with an
/// index of ChildPlan::operations. Throws Error when the step could not be started, naming the
/// phase.
ExitStatus exit_status(const Spec& spec, const Outcome& outcome,
                       const std::function<std::string(int)>& target_of);

/// Adds which limits the command met: what `group` counted, else what the machine ran out of.
void add_limits_met(ExitStatus& status, const Cgroup& group, const OomWatch& machine);

/// Whether something was killed: a shell that starts the command reports the death of its child as
/// exit code 137.
bool was_killed(const ExitStatus& status) noexcept;

}  // namespace strake::sandbox
