#include <array>

#include "builder/cli/run_volumes.h"
#include "builder/cli/step_options.h"
#include "builder/cli/verbs.h"
#include "builder/dockerfile/signal.h"
#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::cli {
namespace {

constexpr std::size_t kLargestEnvFile = 1 << 20;

struct RunWords {
  std::vector<std::string> env, env_files, volumes, mounts, tmpfs;
  std::optional<std::string> entrypoint, user, working_dir, pull, platform, stop_signal, hostname;
};

struct Refusal {
  const char* name;
  const char* reason;
};
constexpr const char* kHostNetwork = "the command shares the host's network: its ports are there";
constexpr const char* kNoDaemon = "a run is one process that ends with the command; no daemon";
// Docker's options that would change what happens.
constexpr std::array kRefusals = std::to_array<Refusal>({
    {"-d", kNoDaemon},
    {"--detach", kNoDaemon},
    {"--name", "nothing is left of a run that could be named"},
    {"--cidfile", "nothing is left of a run that could have an id"},
    {"--restart", kNoDaemon},
    {"-p", kHostNetwork},
    {"--publish", kHostNetwork},
    {"-P", kHostNetwork},
    {"--publish-all", kHostNetwork},
    {"--link", kHostNetwork},
    {"--ip", kHostNetwork},
    {"--mac-address", kHostNetwork},
    {"--network-alias", kHostNetwork},
    {"-a", "stdout and stderr are always attached; -i attaches stdin"},
    {"--attach", "stdout and stderr are always attached; -i attaches stdin"},
    {"--detach-keys", "there is nothing to detach from"},
    {"--sig-proxy", "signals always go to the command"},
    {"--stop-timeout", "the second signal kills"},
    {"--volumes-from", "there are no other containers; name the directories with -v"},
    {"--volume-driver", "volumes are directories of this machine"},
    {"--group-add", "write user and group as -u USER:GROUP"},
    {"--pid", "the sandbox has namespaces of its own"},
    {"--ipc", "the sandbox has namespaces of its own"},
    {"--uts", "the sandbox has namespaces of its own"},
    {"--userns", "the sandbox has namespaces of its own; see --isolation"},
    {"--cgroupns", "the sandbox has namespaces of its own"},
    {"--log-driver", "output goes to stdout and stderr"},
    {"--log-opt", "output goes to stdout and stderr"},
    {"--health-cmd", "nobody asks for a run's health"},
    {"--sysctl", "kernel settings are read-only in the sandbox"},
    {"--runtime", "there is one sandbox"},
    {"--storage-opt", "the writable layer is as large as the disk"},
});

void declare(OptionSet& options, RunWords& words, RunCommand& command) {
  options.section("Command");
  options.flag("-i,--interactive", command.interactive, "Pass on stdin");
  options.flag("-t,--tty", command.terminal, "Give the command a terminal");
  options.text("--entrypoint", "COMMAND", words.entrypoint,
               "In place of the image's; \"\" is none");
  options.list("-e,--env", "NAME[=VALUE]", words.env, "Variable (repeatable)");
  options.list("--env-file", "FILE", words.env_files, "Lines NAME=VALUE, each as an --env");
  options.text("-u,--user", "USER[:GROUP]", words.user,
               "Names or numbers, in place of the image's");
  options.text("-w,--workdir", "DIRECTORY", words.working_dir, "In place of the image's");
  options.text("--stop-signal", "SIGNAL", words.stop_signal,
               "What SIGTERM is passed on as (default: the image's STOPSIGNAL)");

  options.section("Files");
  options.list("-v,--volume", "PATH:TARGET[:ro]", words.volumes,
               "File or directory of this machine; changes stay (repeatable)");
  options.list("--mount", "type=bind|tmpfs,...", words.mounts, "The same in more words");
  options.list("--tmpfs", "TARGET[:OPTIONS]", words.tmpfs, "Empty directory in memory");
  options.flag("--read-only", command.request.read_only_root, "Nothing else can be written to");

  options.section("Image");
  options.text("--pull", "WHEN", words.pull, "missing, newer, always or never (default: missing)");
  options.text("--platform", "OS/ARCH", words.platform, "Which one; emulated where it has to be");
  options.flag("--privileged", command.request.privileged, "All rights that strake has itself");
  options.text("-h", "NAME", words.hostname, "");
  for (const char* names : {"--rm", "--init", "--no-healthcheck", "--disable-content-trust"})
    options.accept_flag(names);
  for (const char* names : {"-l,--label", "--label-file", "--annotation", "--expose"})
    options.accept_value(names);
  for (const Refusal& refusal : kRefusals) options.refuse(refusal.name, refusal.reason);
  options.epilogue(
      "The image is used from the local store, else pulled. What the command writes is thrown "
      "away\n"
      "with it (--rm), but for what is below a -v. stdout, stderr and the exit status are the\n"
      "command's; 125 is for errors of strake itself, 126 and 127 for a command that cannot be\n"
      "executed or is not there. Signals go to the command; the second one kills it.");
}

std::vector<std::string> read_env_file(const std::string& file, const Environment& environment) {
  const std::optional<std::string> content = base::read_file(file, kLargestEnvFile);
  if (!content)
    throw base::Error(base::ErrorCode::not_found,
                      "cannot read " + base::quoted(file) + ": no such file");
  return parse_env_file(*content, file, environment);
}

/// As docker has it, what -e says wins over files.
std::vector<std::string> variables_of(const RunWords& words, const Environment& environment) {
  std::vector<std::string> variables;
  for (const std::string& file : words.env_files)
    for (std::string& variable : read_env_file(file, environment))
      variables.push_back(std::move(variable));
  for (const std::string& text : words.env) variables.push_back(parse_variable(text, environment));
  return variables;
}

void set_command(builder::ImageRunRequest& request, const RunWords& words,
                 const std::vector<std::string>& operands) {
  request.arguments.assign(operands.begin() + 1, operands.end());
  if (words.entrypoint)
    request.entrypoint = words.entrypoint->empty() ? std::vector<std::string>{}
                                                   : std::vector<std::string>{*words.entrypoint};
  request.user = words.user;
  if (words.working_dir && !words.working_dir->starts_with('/'))
    throw base::Error(
        base::ErrorCode::invalid_input,
        "working directory " + base::quoted(*words.working_dir) + " is not an absolute path");
  request.working_dir = words.working_dir;
}

}  // namespace

Command parse_run(VerbContext& context) {
  RunWords words;
  StepOptions steps;
  RunCommand command;
  OptionSet options("run", "IMAGE [COMMAND [ARGUMENT...]]",
                    "Runs a command in an image, in the sandbox that builds have.");
  options.end_at_operand();
  declare(options, words, command);
  steps.declare(options);
  context.add_isolation_option(options);
  context.add_registry_options(options);
  context.add_display_options(options, command.quiet);
  if (!context.parse(options, ShortNames::none)) return HelpCommand{options.help()};

  const Environment environment = [&](const std::string& name) {
    return context.environment(name);
  };
  const std::vector<std::string>& operands = options.operands(1, 10'000);
  builder::ImageRunRequest& request = command.request;
  command.image = operands.front();
  set_command(request, words, operands);
  request.env = variables_of(words, environment);
  for (const std::string& text : words.volumes) request.volumes.push_back(parse_volume(text));
  for (const std::string& text : words.mounts) request.volumes.push_back(parse_mount(text));
  for (const std::string& text : words.tmpfs) request.volumes.push_back(parse_tmpfs(text));
  request.settings = steps.settings(environment);
  if (words.hostname) request.settings.hostname = *words.hostname;
  command.pull = parse_pull_policy(words.pull.value_or("missing"));
  command.platform = single_platform(words.platform, context);
  if (words.stop_signal) command.stop_signal = dockerfile::parse_signal(*words.stop_signal);
  return command;
}

}  // namespace strake::cli
