#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "builder/exec/progress.h"
#include "builder/sandbox/sandbox.h"
#include "layers/base/error.h"

namespace strake::builder {

/// A RUN that has failed, as long as its root, its mounts and its devices are still there.
struct FailedStep {
  const base::Error& error;   // what the build will end with
  TaskId task;                // whose output it wrote
  const sandbox::Spec& spec;  // as the command had it
  std::string shell;          // of the stage
  sandbox::Sandbox& sandbox;
  std::stop_token stop;
};

/// Lets the user look at it (--on-error=shell). May be called from several threads; the build goes
/// on to fail when it returns. Throws Error if the user cannot look at it.
using FailureHandler = std::function<void(const FailedStep&)>;

}  // namespace strake::builder
