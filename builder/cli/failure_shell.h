#pragma once

#include <mutex>

#include "builder/cli/progress.h"
#include "builder/exec/failed_step.h"
#include "layers/base/fd.h"

namespace strake::cli {

/// The user's controlling terminal, for reading and writing. Throws Error(invalid_input) saying
/// that `option` needs one unless stdin is a terminal and we have one.
base::FileDescriptor open_user_terminal(std::string_view option);

/// --on-error=shell: a shell in the root of a step that failed, as it left it. One at a time;
/// thread-safe.
class FailureShell {
 public:
  /// `terminal` is the user's, not owned.
  FailureShell(Display& display, int terminal) : display_(display), terminal_(terminal) {}

  /// Says what failed, and returns when the user has left the shell, or at once when the build is
  /// being stopped. A step without a shell is said to have none. Throws Error(cancelled).
  void open(const builder::FailedStep& step);

 private:
  sandbox::ExitStatus run(const builder::FailedStep& step, const std::string& shell) const;
  void say(const std::string& text) const;

  std::mutex one_at_a_time_;
  Display& display_;
  const int terminal_;
};

}  // namespace strake::cli
