#include <algorithm>
#include <array>

#include "builder/check/own_rules.h"

namespace strake::check {
namespace {

template <std::size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Programs that come to an end by themselves: nobody wants them in the background of a build.
bool is_finite(const Invocation& command) {
  constexpr auto kFinite = std::to_array<std::string_view>(
      {"apt",      "apt-get",  "apk",     "yum",  "dnf",    "microdnf", "zypper",   "pip",
       "pip3",     "npm",      "yarn",    "pnpm", "gem",    "bundle",   "composer", "conda",
       "cd",       "mkdir",    "rm",      "mv",   "cp",     "ln",       "chmod",    "chown",
       "touch",    "tar",      "unzip",   "gzip", "echo",   "printf",   "sed",      "export",
       "set",      "git",      "curl",    "wget", "make",   "cmake",    "useradd",  "adduser",
       "groupadd", "addgroup", "usermod", "dpkg", "install"});
  return is_one_of(command.program, kFinite);
}

/// The script takes care of what it put into the background.
bool manages_jobs(const RunFacts& run) {
  constexpr auto kJobs =
      std::to_array<std::string_view>({"wait", "kill", "jobs", "fg", "disown", "pkill"});
  const bool has_command =
      std::any_of(run.commands.begin(), run.commands.end(),
                  [&](const Invocation& command) { return is_one_of(command.program, kJobs); });
  return has_command || run.text.find("$!") != std::string::npos;
}

void check_background(const RunFacts& run, Reporter& reporter) {
  if (manages_jobs(run)) return;
  for (std::size_t i = 0; i < run.commands.size(); ++i) {
    const Invocation& command = run.commands[i];
    if (command.next != Connector::background || command.depth > 0) continue;
    if (i + 1 == run.commands.size()) {
      reporter.add("BackgroundedCommand", *run.instruction,
                   base::quoted(command.program) +
                       " is started in the background at the end of the RUN, which ends it");
      return;
    }
    if (!is_finite(command)) continue;
    reporter.add("BackgroundedCommand", *run.instruction,
                 "\"&\" runs " + base::quoted(command.program) + " in the background while " +
                     base::quoted(run.commands[i + 1].program) +
                     " starts, and ignores its failure: \"&&\" was probably meant");
    return;
  }
}

/// Commands that change nothing but the shell they run in.
bool changes_only_its_shell(const Invocation& command) {
  constexpr auto kOwn = std::to_array<std::string_view>(
      {"cd", "export", "unset", "set", "umask", "alias", "shopt", "ulimit"});
  return is_one_of(command.program, kOwn) && command.redirections.empty();
}

void check_effect(const RunFacts& run, Reporter& reporter) {
  if (run.commands.empty() || run.has_script) return;
  if (!std::all_of(run.commands.begin(), run.commands.end(), changes_only_its_shell)) return;
  const Invocation& command = run.commands.front();
  std::string advice;
  if (command.program == "cd") advice = ": use WORKDIR";
  if (command.program == "export") advice = ": use ENV";
  reporter.add("RunWithoutEffect", *run.instruction,
               base::quoted(command.program) + " lasts until the end of its RUN only" + advice);
}

/// Official images that say nothing about USER: their steps run as root.
bool is_root_image(const StageFacts& stage) {
  constexpr auto kRoot = std::to_array<std::string_view>(
      {"alpine", "debian", "ubuntu", "fedora", "centos", "almalinux", "rockylinux", "busybox",
       "python", "node", "golang", "ruby", "php", "rust", "openjdk", "gcc", "amazonlinux",
       "buildpack-deps"});
  const std::optional<NamedImage>& image = stage.bottom().image;
  return image && is_one_of(image->official(), kRoot);
}

bool is_root(const std::optional<std::string>& user, const StageFacts& stage) {
  if (!user) return is_root_image(stage);
  const std::string name = user->substr(0, user->find(':'));
  return name == "root" || name == "0";
}

void check_sudo(const StageFacts& stage, const RunFacts& run, Reporter& reporter) {
  if (!is_root(run.user, stage)) return;
  for (const Invocation& command : run.commands) {
    if (!command.by_sudo || command.as_other_user) continue;
    reporter.add(
        "SudoInRun", *run.instruction,
        "sudo is not needed for " + base::quoted(command.program) + ": this RUN is root's already");
    return;
  }
}

bool sets_pipefail(const RunFacts& run) {
  return run.has_pipefail || run.text.find("pipefail") != std::string::npos;
}

/// A download that fails gives the shell an empty script, which succeeds.
void check_piped_script(const RunFacts& run, Reporter& reporter) {
  if (sets_pipefail(run)) return;
  for (std::size_t i = 0; i + 1 < run.commands.size(); ++i) {
    const Invocation& download = run.commands[i];
    const Invocation& shell = run.commands[i + 1];
    if (download.program != "curl" && download.program != "wget") continue;
    if (download.next != Connector::pipe || !shell.piped_into || !is_shell(shell.program)) continue;
    reporter.add(
        "PipedScriptHidesFailure", *run.instruction,
        "if " + base::quoted(download.program) + " fails, " + base::quoted(shell.program) +
            " runs an empty script and the RUN succeeds: download to a file first, or use a "
            "shell with \"set -o pipefail\"");
    return;
  }
}

}  // namespace

void check_shell_commands(const StageFacts& stage, Reporter& reporter) {
  for (const auto& step : stage.steps) {
    const auto* run = std::get_if<RunFacts>(&step);
    if (run == nullptr || !run->understood) continue;
    check_background(*run, reporter);
    check_effect(*run, reporter);
    check_sudo(stage, *run, reporter);
    check_piped_script(*run, reporter);
  }
}

}  // namespace strake::check
