#include "builder/cli/failure_shell.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "builder/cli/diagnostics.h"
#include "builder/cli/raw_terminal.h"
#include "builder/cli/stop_signals.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

constexpr const char* kAnyShell = "/bin/sh";
constexpr int kNotFound = 127;

/// Keeps the display silent while it lives.
class Pause {
 public:
  explicit Pause(Display& display) : display_(display) { display_.suspend(); }
  ~Pause() { display_.resume(); }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  Display& display_;
};

bool has_variable(const std::vector<std::string>& env, std::string_view prefix) {
  return std::any_of(env.begin(), env.end(),
                     [&](const std::string& variable) { return variable.starts_with(prefix); });
}

}  // namespace

base::FileDescriptor open_user_terminal(std::string_view option) {
  base::FileDescriptor terminal;
  if (is_terminal(STDIN_FILENO))
    terminal = base::FileDescriptor(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal)
    throw base::Error(base::ErrorCode::invalid_input,
                      std::string(option) + " needs a terminal: stdin is none");
  return terminal;
}

void FailureShell::say(const std::string& text) const {
  base::write_full(terminal_, base::bytes_of(text), "terminal");
}

void FailureShell::open(const builder::FailedStep& step) {
  const std::lock_guard lock(one_at_a_time_);
  if (step.stop.stop_requested()) return;  // another step's shell was opened before
  const Pause pause(display_);
  say(display_.report_of(step.task) + describe(step.error, colour_for(terminal_)) +
      "  this is a shell where it failed; when you leave it (exit), the build ends\n");
  try {
    sandbox::ExitStatus status = run(step, step.shell);
    if (status.code == kNotFound && !status.explanation.empty() && step.shell != kAnyShell)
      status = run(step, kAnyShell);
    if (!status.explanation.empty()) say("  there is no shell: " + status.explanation + "\n");
  } catch (const base::Error& error) {
    if (error.code() == base::ErrorCode::cancelled) throw;
    say(describe(error, colour_for(terminal_)));
  }
}

sandbox::ExitStatus FailureShell::run(const builder::FailedStep& step,
                                      const std::string& shell) const {
  const SignalDiversion signals(Diverted::window_size, SIGTERM);
  sandbox::Spec spec = step.spec;
  spec.argv = {shell};
  spec.timeout = {};
  if (!has_variable(spec.env, "TERM=")) spec.env.emplace_back("TERM=xterm");
  spec.interaction = sandbox::Interaction{.input_fd = terminal_,
                                          .output_fd = terminal_,
                                          .error_fd = terminal_,
                                          .terminal = true,
                                          .window_fd = terminal_,
                                          .signals_fd = signals.fd()};
  base::StringSink nothing;  // gets nothing: the shell writes to the terminal
  const RawTerminal raw(terminal_);
  return step.sandbox.run(spec, nothing, step.stop);
}

}  // namespace strake::cli
