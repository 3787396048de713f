#pragma once

#include <poll.h>

#include <memory>
#include <span>
#include <vector>

#include "builder/sandbox/child_process.h"
#include "builder/sandbox/sandbox.h"
#include "layers/base/fd.h"
#include "layers/base/stream.h"

namespace strake::sandbox {

/// Something that goes on beside a running step whenever a descriptor is ready.
class Flow {
 public:
  virtual ~Flow() = default;
  /// What to wait for now; with a negative descriptor nothing.
  virtual pollfd awaited() const = 0;
  /// Called when it is there.
  virtual void advance(const ChildProcess& init) = 0;
  /// Called when all processes of the step are dead: the rest of what they wrote.
  virtual void finish() {}
};

/// The standard streams of one step: what the command gets, and what passes their content on.
///
/// Without an interaction stdin is Spec::stdin_fd or /dev/null, and stdout and stderr are one pipe,
/// which keeps the order in which was written. With one, each stream is a pipe of its own, or all
/// are a terminal. Nothing of the user's own streams gets into the step: what is behind a
/// descriptor could be opened again there, with other rights (/proc/self/fd).
class StepStreams {
 public:
  /// `devpts` is the root of what the step sees as /dev/pts; used for a terminal only. `output`
  /// must outlive this object. Throws Error(system).
  StepStreams(const Spec& spec, base::ByteSink& output, int devpts);
  StepStreams(const StepStreams&) = delete;
  StepStreams& operator=(const StepStreams&) = delete;
  ~StepStreams();

  // The ends for the command, until close_far_ends().
  int input() const noexcept { return input_; }
  int output() const noexcept { return output_; }
  int error() const noexcept { return error_; }

  /// To be called when the step has its own copies: else the pipes would never end.
  void close_far_ends() noexcept { far_ends_.clear(); }
  std::span<const std::unique_ptr<Flow>> flows() const noexcept { return flows_; }

 private:
  void connect_output(base::ByteSink& output);
  void connect_pipes(const Interaction& interaction);
  void connect_terminal(const Interaction& interaction, base::FileDescriptor controller);
  int keep(base::FileDescriptor far_end);

  std::vector<base::FileDescriptor> far_ends_;
  base::FileDescriptor terminal_;  // see connect_terminal()
  std::vector<std::unique_ptr<Flow>> flows_;
  int input_ = -1, output_ = -1, error_ = -1;
};

}  // namespace strake::sandbox
