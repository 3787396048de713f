#include <unistd.h>

#include <array>
#include <csignal>
#include <optional>

#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/image_lookup.h"
#include "builder/cli/raw_terminal.h"
#include "builder/cli/terminal_io.h"
#include "builder/dockerfile/signal.h"
#include "builder/exec/base_images.h"
#include "builder/exec/layer_fetcher.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

/// The image as the store has it; nullopt if it has none for the platform that is wanted.
std::optional<oci::ImageConfig> local_image(const RunCommand& command, Session& session) {
  const std::optional<layers::ImageRecord> record = look_up_image(session, command.image);
  if (!record) return std::nullopt;
  std::vector<oci::Platform> platforms;
  for (const layers::PlatformImage& image : record->platforms) platforms.push_back(image.platform);
  if (command.platform && oci::best_match(*command.platform, platforms) < 0) return std::nullopt;
  return oci::parse_image_config(read_config(session, choose_platform(*record, command.platform)));
}

oci::ImageConfig pulled_image(const RunCommand& command, builder::Machine& machine,
                              const std::stop_token& stop) {
  const plan::ImageRequest request{oci::parse_reference(command.image),
                                   command.platform.value_or(oci::host_platform())};
  return builder::resolve_images({{request, {}}}, command.pull, machine, stop).at(request).config;
}

/// With its layers in the store. A local image needs no network at all.
oci::ImageConfig get_image(const RunCommand& command, Session& session) {
  std::optional<oci::ImageConfig> image;
  const bool local_first =
      command.pull == builder::PullPolicy::missing || command.pull == builder::PullPolicy::never;
  if (local_first) image = local_image(command, session);
  if (!image && command.image.starts_with("sha256:")) find_image(session, command.image);  // throws
  with_display(session, command.quiet, [&](builder::Machine& machine) {
    if (!image) image = pulled_image(command, machine, session.stop());
    builder::LayerFetcher(machine, session.stop(), command.pull).ensure_trees(image->diff_ids);
  });
  if (!command.platform && image->platform.architecture != oci::host_platform().architecture)
    base::log_warning("the image is for " + image->platform.str() + ", this machine is " +
                      oci::host_platform().str());
  return *std::move(image);
}

sandbox::Interaction interaction_of(const RunCommand& command, int signals) {
  sandbox::Interaction interaction;
  if (command.interactive) interaction.input_fd = STDIN_FILENO;
  interaction.output_fd = STDOUT_FILENO;
  interaction.error_fd = STDERR_FILENO;
  interaction.terminal = command.terminal;
  interaction.signals_fd = signals;
  for (const int fd : std::array{STDERR_FILENO, STDOUT_FILENO, STDIN_FILENO})
    if (is_terminal(fd)) interaction.window_fd = fd;
  return interaction;
}

int stop_signal_of(const RunCommand& command, const oci::ImageConfig& image) {
  if (command.stop_signal) return *command.stop_signal;
  return image.config.stop_signal.empty() ? SIGTERM
                                          : dockerfile::parse_signal(image.config.stop_signal);
}

void explain(const sandbox::ExitStatus& status, const builder::StepSettings& settings) {
  const bool met_a_limit = status.oom_killed || status.timed_out || status.processes_exhausted;
  if (status.explanation.empty() && !met_a_limit) return;
  print_error(describe(builder::failure(status, settings), colour_for(STDERR_FILENO)));
}

}  // namespace

int run(const RunCommand& command, Session& session) {
  if (command.interactive && command.terminal && !is_terminal(STDIN_FILENO))
    throw base::Error(base::ErrorCode::invalid_input, "stdin is no terminal: -t cannot pass it on")
        .hint("leave out -t to pass on what comes, or -i to pass on nothing");
  const oci::ImageConfig image = get_image(command, session);

  sandbox::ExitStatus status;
  with_display(session, true, [&](builder::Machine& machine) {
    const SignalDiversion signals(Diverted::all, stop_signal_of(command, image));
    builder::ImageRunRequest request = command.request;
    request.interaction = interaction_of(command, signals.fd());
    std::optional<RawTerminal> raw;
    if (command.interactive && command.terminal) raw.emplace(STDIN_FILENO);
    status = builder::run_image(image, request, machine, session.stop());
  });
  explain(status, command.request.settings);
  return status.code;
}

}  // namespace strake::cli
