#include <unistd.h>

#include <optional>

#include "builder/cli/arguments.h"
#include "builder/cli/commands/commands.h"
#include "builder/cli/diagnostics.h"
#include "builder/cli/process_start.h"
#include "builder/cli/session.h"
#include "builder/cli/terminal_io.h"
#include "registry/courier.h"
#include "registry/curl_transport.h"

namespace strake::cli {
namespace {

ExitStatus fail(const base::Error& error, ExitStatus status) {
  print_error(describe(error, colour_for(STDERR_FILENO)));
  return status;
}

/// The status is success but for verbs whose answer is one.
int run_verb(const Invocation& invocation, const Environment& environment, StopSignals& signals) {
  const auto run_it = [&](const auto& command) {
    if constexpr (requires { ExitStatus(run(command)); }) {
      return static_cast<int>(run(command));
    } else if constexpr (requires { run(command); }) {
      run(command);
    } else {
      Session session(invocation.common, load_settings(environment), environment, signals);
      if constexpr (requires { int(run(command, session)); })
        return run(command, session);
      else
        run(command, session);
    }
    return static_cast<int>(ExitStatus::success);
  };
  return std::visit(run_it, invocation.command);
}

int be_courier() {
  registry::CurlTransport http;
  registry::run_courier(http, STDIN_FILENO);
  return static_cast<int>(ExitStatus::success);
}

int strake_main(std::span<const std::string> arguments) {
  const Environment environment = process_environment();
  Invocation invocation;
  try {
    prepare_process();
    if (arguments.size() == 1 && arguments.front() == kCourierVerb) return be_courier();
    invocation = parse_arguments(arguments, environment);
  } catch (const base::Error& error) {
    return static_cast<int>(
        fail(error, asks_for_run(arguments) ? ExitStatus::not_run : ExitStatus::usage));
  }

  std::optional<StopSignals> signals;
  try {
    base::set_log_level(invocation.common.log_level);
    take_rung(invocation);  // before the signals' thread
    signals.emplace();
    return run_verb(invocation, environment, *signals);
  } catch (const base::Error& error) {
    const bool runs = std::holds_alternative<RunCommand>(invocation.command);
    const ExitStatus status = fail(error, runs ? ExitStatus::not_run : exit_status(error.code()));
    const bool stopped =
        error.code() == base::ErrorCode::cancelled && signals && signals->received() != 0;
    return stopped ? 128 + signals->received() : static_cast<int>(status);
  } catch (const std::exception& error) {
    print_error(describe_internal(error, colour_for(STDERR_FILENO)));
    return static_cast<int>(ExitStatus::build_failed);
  }
}

}  // namespace
}  // namespace strake::cli

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return strake::cli::strake_main(arguments);
}
