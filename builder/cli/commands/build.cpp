#include <unistd.h>

#include <algorithm>
#include <optional>

#include "builder/cli/commands/commands.h"
#include "builder/cli/emulation_summary.h"
#include "builder/cli/failure_shell.h"
#include "builder/cli/profile.h"
#include "builder/cli/raw_terminal.h"
#include "builder/cli/result_files.h"
#include "builder/cli/terminal_io.h"
#include "builder/context/archive_context.h"
#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::cli {
namespace {

using builder::BuildRequest;
using builder::OutputSpec;

constexpr std::size_t kLargestDockerfile = 16 << 20;

std::string read_dockerfile() {
  std::string text = read_stdin(kLargestDockerfile, "Dockerfile on stdin");
  if (builder::looks_like_archive(base::bytes_of(text)))
    throw base::Error(base::ErrorCode::invalid_input, "stdin is an archive, not a Dockerfile")
        .hint("to build the archive's files write: strake build -");
  if (text.empty())
    throw base::Error(base::ErrorCode::invalid_input, "stdin is empty: there is no Dockerfile");
  return text;
}

bool writes_to_stdout(const BuildRequest& request) {
  return std::any_of(request.outputs.begin(), request.outputs.end(),
                     [](const OutputSpec& output) { return output.dest == "-"; });
}

/// Names of the image in the order they were given, full form.
std::vector<std::string> names_of(const BuildRequest& request) {
  std::vector<std::string> names;
  const auto add = [&](const oci::Reference& reference) {
    const std::string name = reference.str();
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const oci::Reference& tag : request.tags) add(tag);
  for (const OutputSpec& output : request.outputs)
    for (const oci::Reference& name : output.names) add(name);
  return names;
}

void report(const BuildCommand& command, const builder::BuildOutcome& outcome) {
  if (!command.metadata_file.empty())
    write_result_file(command.metadata_file, metadata_json(outcome, names_of(command.request)));
  const std::string id = image_id(outcome).str();
  if (!command.iid_file.empty()) write_result_file(command.iid_file, id);
  if (!writes_to_stdout(command.request)) print(id + "\n");
}

/// With a terminal of the user a failed RUN opens a shell.
builder::BuildOutcome build_shown(BuildRequest request, bool quiet,
                                  const base::FileDescriptor& terminal, Session& session) {
  builder::BuildOutcome outcome;
  with_display(session, quiet, [&](builder::Machine& machine, Display& display) {
    FailureShell shell(display, terminal.get());
    if (terminal)
      request.on_failed_step = [&shell](const builder::FailedStep& step) { shell.open(step); };
    outcome = builder::build(request, machine, session.stop());
    for (const std::string& line : emulation_summary(outcome.emulated))
      machine.progress.message(line);
  });
  return outcome;
}

/// Whether someone sits there who could use a shell.
bool is_watched() {
  return is_terminal(STDIN_FILENO) && is_terminal(STDERR_FILENO);
}

}  // namespace

void run(const BuildCommand& command, Session& session) {
  std::optional<Profile> profile;
  if (!command.profile.empty()) profile.emplace(command.profile);
  BuildRequest request = command.request;
  base::FileDescriptor terminal;
  if (command.shell_on_error) terminal = open_user_terminal("--on-error=shell");
  if (command.dockerfile_from_stdin) request.dockerfile_text = read_dockerfile();
  if (request.jobs == 0) request.jobs = session.settings().jobs.value_or(0);
  if (writes_to_stdout(request) && isatty(STDOUT_FILENO) == 1)
    throw base::Error(base::ErrorCode::invalid_input, "an archive is not written to a terminal")
        .hint("add dest=FILE to the output, or redirect stdout");

  builder::BuildOutcome outcome;
  try {
    outcome = build_shown(request, command.quiet, terminal, session);
  } catch (base::Error& error) {
    if (error.code() == base::ErrorCode::step_failed && !command.shell_on_error && is_watched())
      error.set_hint("--on-error=shell opens a shell in the step that failed");
    throw;
  }
  if (request.dry_run) return print(outcome.plan);
  report(command, outcome);
}

}  // namespace strake::cli
