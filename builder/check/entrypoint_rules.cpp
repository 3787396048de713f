#include <algorithm>
#include <array>

#include "builder/check/own_rules.h"

namespace strake::check {
namespace {

using dockerfile::ExecForm;
using dockerfile::Instruction;

const ExecForm* exec_form(const Instruction* instruction) {
  if (instruction == nullptr) return nullptr;
  if (const auto* cmd = std::get_if<dockerfile::Cmd>(&instruction->operation))
    return std::get_if<ExecForm>(&cmd->command);
  if (const auto* entrypoint = std::get_if<dockerfile::Entrypoint>(&instruction->operation))
    return std::get_if<ExecForm>(&entrypoint->command);
  return nullptr;
}

void check_empty_arguments(const Instruction& instruction, Reporter& reporter) {
  const ExecForm* exec = exec_form(&instruction);
  if (exec == nullptr || exec->argv.empty()) return;
  const auto empty = std::find(exec->argv.begin(), exec->argv.end(), "");
  if (empty == exec->argv.end()) return;
  std::string detail = "argument " + std::to_string(empty - exec->argv.begin() + 1) + " of " +
                       instruction.name + " is empty";
  if (empty == exec->argv.begin())
    detail += ": there is no program of that name";
  else
    detail += ": " + base::quoted(exec->argv.front()) + " gets it as an argument, \"\"";
  reporter.add("EmptyArgument", instruction, std::move(detail));
}

/// Interpreters whose own long options are few, so that a stranger among them is told.
bool takes_script(std::string_view program) {
  program = program.substr(program.rfind('/') + 1);
  return program == "node" || program == "ruby" ||
         (program.starts_with("python") &&
          program.find_first_not_of("0123456789.", 6) == std::string_view::npos);
}

bool is_interpreters_own(const std::string& option) {
  constexpr auto kAll = std::to_array<std::string_view>({"--help", "--version", "--"});
  return !option.starts_with("--") || std::find(kAll.begin(), kAll.end(), option) != kAll.end();
}

/// `ENTRYPOINT ["python"]` with `CMD ["--input", …]`: options of a script that is not there.
void check_script(const StageFacts& stage, Reporter& reporter) {
  const ExecForm* entrypoint = exec_form(stage.entrypoint);
  const ExecForm* cmd = exec_form(stage.cmd);
  if (entrypoint == nullptr || cmd == nullptr) return;
  if (entrypoint->argv.empty() || cmd->argv.empty()) return;
  const std::string& program = entrypoint->argv.front();
  if (!takes_script(program)) return;
  for (auto argument = entrypoint->argv.begin() + 1; argument != entrypoint->argv.end(); ++argument)
    if (!argument->empty() && *argument != "-u") return;
  if (is_interpreters_own(cmd->argv.front())) return;
  // Node has long options of its own; with them, a script or a text to run is named.
  const bool has_script =
      std::any_of(cmd->argv.begin(), cmd->argv.end(), [](const std::string& argument) {
        return argument.ends_with("js") || argument.ends_with(".ts") || argument.ends_with(".rb") ||
               argument == "." || argument.starts_with("--eval") || argument == "-e";
      });
  if (has_script) return;
  reporter.add("EntrypointWithoutScript", *stage.entrypoint,
               "ENTRYPOINT names no script for " + base::quoted(program) + ", so " +
                   base::quoted(cmd->argv.front()) + " of CMD is not an option of the application");
}

/// Names that promise an image with a user of its own.
bool promises_user(const std::string& image) {
  for (const std::string_view part : {"nonroot", "non-root", "unprivileged", "rootless", "cgr.dev/",
                                      "chainguard", "bitnami", "distroless"})
    if (image.find(part) != std::string::npos) return true;
  return false;
}

bool runs_something(const StageFacts& stage) {
  for (const StageFacts* at = &stage; at != nullptr; at = at->base)
    if (at->cmd != nullptr || at->entrypoint != nullptr) return true;
  return false;
}

const Instruction* last_user(const StageFacts& stage) {
  for (const StageFacts* at = &stage; at != nullptr; at = at->base)
    if (at->user_instruction != nullptr) return at->user_instruction;
  return nullptr;
}

void check_user(const StageFacts& stage, Reporter& reporter) {
  if (!stage.is_result || !runs_something(stage)) return;
  const Instruction& about = stage.entrypoint != nullptr ? *stage.entrypoint
                             : stage.cmd != nullptr      ? *stage.cmd
                                                         : *stage.from;
  const std::string& image = stage.bottom().image_text;
  const Instruction* user = last_user(stage);
  if (user == nullptr) {
    if (promises_user(image)) return;
    const bool is_scratch = !stage.bottom().image;
    reporter.add("RunsAsRoot", about,
                 is_scratch ? "no USER is set, so containers run as root"
                            : "no USER is set: unless the base image " + base::quoted(image) +
                                  " sets one, containers run as root");
    return;
  }
  const std::string name = stage.user.value_or("").substr(0, stage.user.value_or("").find(':'));
  if (name == "root" || name == "0")
    reporter.add("RunsAsRoot", *user,
                 "the last USER is " + base::quoted(name) + ", so containers run as root");
}

}  // namespace

void check_entrypoint(const StageFacts& stage, Reporter& reporter) {
  for (const Instruction* instruction : stage.instructions)
    check_empty_arguments(*instruction, reporter);
  check_script(stage, reporter);
  check_user(stage, reporter);
}

}  // namespace strake::check
