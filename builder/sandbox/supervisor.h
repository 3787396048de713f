#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <vector>

#include "builder/sandbox/child_process.h"
#include "builder/sandbox/init/protocol.h"
#include "layers/base/fd.h"
#include "layers/base/stream.h"

namespace strake::sandbox {

/// What was seen of a step from its start to the death of its last process.
struct Outcome {
  std::vector<StatusRecord> records;  // as init and the set-up code sent them
  bool stopped = false;               // ended because it was asked to
};

/// When a step is stopped from outside.
struct StopPolicy {
  std::stop_token polite;  // SIGTERM, then SIGKILL after `grace`
  std::stop_token urgent;  // no grace for what is being stopped
  std::chrono::milliseconds grace{10'000};
};

/// Passes what comes out of `output` to `sink` and waits until `init`, and with it every process
/// of the step, is dead. Memory does not depend on the amount of output.
Outcome supervise(ChildProcess init, base::FileDescriptor output, base::FileDescriptor status,
                  base::ByteSink& sink, const StopPolicy& policy);

}  // namespace strake::sandbox
