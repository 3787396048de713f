#pragma once

#include <stop_token>

#include "builder/exec/build.h"
#include "builder/exec/machine.h"
#include "builder/exec/progress.h"
#include "builder/exec/run_devices.h"
#include "builder/exec/run_mounts.h"
#include "builder/plan/build_plan.h"
#include "layers/snapshot/root_tree.h"

namespace strake::builder {

/// Where a command runs, and what it may use.
struct CommandSite {
  const BuildRequest& request;
  Machine& machine;
  Secrets& secrets;
  const DeviceTable& devices;
  TaskId task;  // takes the output
  std::stop_token stop;
};

/// Runs the command of a RUN in `root`, a writable file system, to its end. Its output is shown
/// without the secrets that it was given. Throws Error(step_failed) if it fails, and what
/// RunMounts, resolve_account and Sandbox::run throw.
void run_command(const plan::Run& run, layers::RootTree& root, const MountSources& sources,
                 const CommandSite& site);

}  // namespace strake::builder
