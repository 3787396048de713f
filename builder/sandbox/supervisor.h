#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "builder/sandbox/child_process.h"
#include "builder/sandbox/init/protocol.h"
#include "builder/sandbox/step_streams.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// What was seen of a step from its start to the death of its last process.
struct Outcome {
  std::vector<StatusRecord> records;  // as init and the set-up code sent them
  bool stopped = false;               // ended because it was asked to
  bool timed_out = false;             // ended because its time was over
};

/// When a step is stopped from outside.
struct StopPolicy {
  std::stop_token polite;  // SIGTERM, then SIGKILL after `grace`
  std::stop_token urgent;  // no grace for what is being stopped
  std::chrono::milliseconds grace{10'000};
  bool at_terminal = false;              // SIGHUP with the SIGTERM
  std::chrono::milliseconds timeout{0};  // after that it is stopped, as by `polite`; 0: never
};

/// Lets `flows` go on and waits until `init`, and with it every process of the step, is dead.
/// Memory does not depend on the amount of output.
Outcome supervise(ChildProcess init, base::FileDescriptor status,
                  std::span<const std::unique_ptr<Flow>> flows, const StopPolicy& policy);

}  // namespace strake::sandbox
