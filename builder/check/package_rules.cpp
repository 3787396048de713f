#include <algorithm>
#include <array>

#include "builder/check/own_rules.h"
#include "builder/dockerfile/words.h"

// Rules about apt, apk and pip. Those about what an image needs not hold are for stages whose
// layers it has; an earlier stage may leave behind what it likes.

namespace strake::check {
namespace {

constexpr std::string_view kAptLists = "/var/lib/apt/lists";

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_apt(const Invocation& command) {
  return command.program == "apt-get" || command.program == "apt";
}

bool is_apt(const Invocation& command, std::string_view verb) {
  return is_apt(command) && command.verb() == verb;
}

/// Options of apt whose value is the next word.
const std::vector<std::string_view> kAptValues = {
    "-t", "-o", "-c", "--target-release", "--option", "--config-file"};

bool any_argument_contains(const Invocation& command, std::string_view part) {
  return std::any_of(command.arguments.begin(), command.arguments.end(),
                     [&](const ShellWord& word) { return contains(word.text, part); });
}

/// A word of the file configures apt: "Assume-Yes", "Install-Recommends".
bool file_mentions(const StageFacts& stage, std::string_view part) {
  const auto& text = stage.from->where.text;
  return text != nullptr && contains(*text, part);
}

bool answers_yes(const Invocation& command) {
  for (const std::string_view option :
       {"--yes", "--assume-yes", "--assume-no", "--force-yes", "-s", "--simulate", "--just-print",
        "--dry-run", "--recon", "--no-act", "--print-uris", "-qq"})
    if (command.has(option)) return true;
  // "-q=2" is "-qq", which implies "-y".
  return command.has_short('y') || any_argument_contains(command, "-q=2") ||
         any_argument_contains(command, "-qq") || any_argument_contains(command, "ssume-yes") ||
         any_argument_contains(command, "ssume-Yes");
}

/// Its input comes from somewhere: "yes | apt-get install".
bool reads_answers(const Invocation& command) {
  return command.piped_into ||
         std::any_of(command.redirections.begin(), command.redirections.end(),
                     [](const Redirection& redirection) {
                       return redirection.operation.find('<') != std::string::npos;
                     });
}

/// Packages of a repository, not files: those need the lists.
bool installs_from_repository(const Invocation& command) {
  const std::vector<ShellWord> packages = command.operands(kAptValues);
  return std::any_of(packages.begin(), packages.end(), [](const ShellWord& word) {
    return word.text.find('/') != 0 && !word.text.starts_with("./") && !word.text.ends_with(".deb");
  });
}

/// A command that may do anything, updating or installing among it.
bool is_opaque(const Invocation& command) {
  constexpr auto kKnown = std::to_array<std::string_view>(
      {"apt",    "apt-get", "apt-mark", "apt-cache", "apt-key", "dpkg",    "rm",
       "mkdir",  "rmdir",   "echo",     "printf",    "cat",     "cd",      "set",
       "export", "cp",      "mv",       "ln",        "chmod",   "chown",   "sed",
       "grep",   "tee",     "gpg",      "curl",      "wget",    "true",    ":",
       "test",   "[",       "find",     "touch",     "sleep",   "ls",      "install",
       "tar",    "date",    "uname",    "awk",       "cut",     "useradd", "groupadd"});
  return std::find(kKnown.begin(), kKnown.end(), command.program) == kKnown.end();
}

bool has_opaque(const RunFacts& run) {
  return std::any_of(run.commands.begin(), run.commands.end(), is_opaque);
}

/// Between the start of the RUN and `end`: something may have fetched the lists.
bool may_have_updated(const RunFacts& run, std::size_t end) {
  const auto last = run.commands.begin() + static_cast<std::ptrdiff_t>(end);
  return std::any_of(run.commands.begin(), last, [](const Invocation& command) {
    if (is_apt(command, "update")) return true;
    // Scripts by name, and "curl … | bash", which is how repositories like to be added.
    return is_shell(command.program) || command.program.empty() || command.program == "." ||
           command.program == "source" || contains(command.path, "/") ||
           contains(command.program, "apt") != is_apt(command);
  });
}

void check_apt_install(const StageFacts& stage, const RunFacts& run, std::size_t position,
                       Reporter& reporter) {
  const Invocation& command = run.commands[position];
  const auto& instruction = *run.instruction;
  const std::string call = "\"" + command.program + " " + command.verb() + "\"";
  if (!answers_yes(command) && !reads_answers(command) && !command.may_hide_options() &&
      !file_mentions(stage, "ssume-Yes"))
    reporter.add("AptGetMissingYes", instruction,
                 call + " asks before it installs, and nobody answers in a build: add -y");
  if (command.verb() != "install") return;
  if (installs_from_repository(command) && !may_have_updated(run, position) &&
      !run.has_mount_over(kAptLists))
    reporter.add("AptGetInstallWithoutUpdate", instruction,
                 call + " without \"" + command.program +
                     " update\" in the same RUN takes package lists of another layer, which are "
                     "absent or old");
  if (stage.in_image && !command.may_hide_options() &&
      !any_argument_contains(command, "install-recommends") &&
      !any_argument_contains(command, "nstall-Recommends") &&
      !file_mentions(stage, "nstall-Recommends"))
    reporter.add("AptGetInstallsRecommends", instruction,
                 call +
                     " without --no-install-recommends installs packages that are only "
                     "recommended");
}

bool cleans_apt_lists(const Invocation& command) {
  if (is_apt(command, "distclean")) return true;
  // A script of somebody's own that cleans up.
  if (contains(command.path, "/") && contains(command.program, "clean")) return true;
  const bool removes = command.program == "rm" || command.program == "find";
  return removes &&
         (any_argument_contains(command, "apt") || any_argument_contains(command, "lists") ||
          any_argument_contains(command, "/var/lib"));
}

void check_apt(const StageFacts& stage, const RunFacts& run, Reporter& reporter) {
  std::optional<std::size_t> update;
  bool consumes = false, cleans = false;
  for (std::size_t i = 0; i < run.commands.size(); ++i) {
    const Invocation& command = run.commands[i];
    cleans |= cleans_apt_lists(command);
    if (!is_apt(command)) continue;
    const std::string verb = command.verb();
    if (verb == "update") update = i;
    if (verb == "update" || verb.empty()) continue;
    consumes = true;
    if (verb == "install" || verb == "upgrade" || verb == "dist-upgrade" ||
        verb == "full-upgrade" || verb == "build-dep")
      check_apt_install(stage, run, i, reporter);
  }
  if (!update) return;
  const std::string call = "\"" + run.commands[*update].program + " update\"";
  const bool opaque = has_opaque(run);
  if (!consumes && !opaque && !run.has_mount_over(kAptLists))
    reporter.add("AptGetUpdateAlone", *run.instruction,
                 call +
                     " in a RUN of its own: its package lists are cached with the layer and "
                     "grow old");
  if (stage.in_image && consumes && !cleans && !opaque && !run.has_mount_over(kAptLists))
    reporter.add("AptListsLeft", *run.instruction,
                 "the package lists of " + call +
                     " stay in the layer: remove /var/lib/apt/lists/* in the same RUN");
}

void check_apk(const StageFacts& stage, const RunFacts& run, Reporter& reporter) {
  if (!stage.in_image || run.has_mount_over("/var/cache/apk") ||
      run.has_mount_over("/etc/apk/cache"))
    return;
  bool fetches = false, cleans = false;
  for (const Invocation& command : run.commands) {
    if (command.program == "rm") cleans |= any_argument_contains(command, "/var/cache");
    if (command.program == "apk" && command.verb() == "cache") cleans = true;
    if (command.program != "apk" || command.has("--no-cache")) continue;
    fetches |= command.verb() == "update" || command.has("--update") ||
               command.has("--update-cache") || command.has("-U");
  }
  if (fetches && !cleans)
    reporter.add("ApkCacheLeft", *run.instruction,
                 "the package index stays in the layer: use \"apk add --no-cache\" in place of an "
                 "update");
}

/// `pip install`, `python3 -m pip install`: the words behind "pip". Empty for anything else.
std::optional<Invocation> as_pip(const Invocation& command) {
  Invocation pip = command;
  if (command.program.starts_with("python") && command.arguments.size() > 2) {
    const auto is_module = [](const ShellWord& word) { return word.is("-m"); };
    const auto module = std::find_if(pip.arguments.begin(), pip.arguments.end() - 1, is_module);
    if (module == pip.arguments.end() - 1 || !module[1].is("pip")) return std::nullopt;
    pip.arguments.erase(pip.arguments.begin(), module + 2);
    return pip;
  }
  const std::string& program = command.program;
  const bool is_pip =
      program == "pip" || (program.starts_with("pip") && program.size() > 3 &&
                           program.find_first_not_of("0123456789.", 3) == std::string::npos);
  return is_pip ? std::optional(pip) : std::nullopt;
}

bool keeps_no_pip_cache(const StageFacts& stage, const RunFacts& run) {
  if (run.variables.contains("PIP_NO_CACHE_DIR") || run.variables.contains("PIP_CACHE_DIR"))
    return true;
  const bool has_cache_mount =
      std::any_of(run.mounts.begin(), run.mounts.end(), [](const dockerfile::Mount& mount) {
        return mount.type != dockerfile::MountType::bind &&
               (contains(mount.target, "cache") || contains(mount.target, "pip") ||
                contains(mount.target, "/root") || contains(mount.target, "/home"));
      });
  const bool removes =
      std::any_of(run.commands.begin(), run.commands.end(), [](const Invocation& command) {
        return (command.program == "rm" && any_argument_contains(command, "cache")) ||
               any_argument_contains(command, "purge");
      });
  return has_cache_mount || removes || file_mentions(stage, "no-cache-dir =") ||
         file_mentions(stage, "global.no-cache-dir") || file_mentions(stage, "pip.conf");
}

void check_pip(const StageFacts& stage, const RunFacts& run, Reporter& reporter) {
  if (!stage.in_image || keeps_no_pip_cache(stage, run)) return;
  for (const Invocation& command : run.commands) {
    const std::optional<Invocation> pip = as_pip(command);
    if (!pip || pip->verb() != "install" || pip->may_hide_options()) continue;
    const auto sets = [](const std::string& variable) {
      return variable.starts_with("PIP_NO_CACHE_DIR=") || variable.starts_with("PIP_CACHE_DIR=");
    };
    if (std::any_of(pip->variables.begin(), pip->variables.end(), sets)) continue;
    if (any_argument_contains(*pip, "cache-dir") || pip->has("--dry-run")) continue;
    reporter.add(
        "PipCacheLeft", *run.instruction,
        "\"pip install\" keeps what it downloads in the layer: add --no-cache-dir, or mount "
        "a cache at /root/.cache/pip");
    return;
  }
}

/// The python images bring their own Python in /usr/local; apt's modules are for Debian's.
void check_python_packages(const StageFacts& stage, const RunFacts& run, Reporter& reporter) {
  const std::optional<NamedImage>& image = stage.bottom().image;
  if (!image || image->official() != "python" || contains(image->tag.value_or(""), "alpine"))
    return;
  if (file_mentions(stage, "/usr/bin/python") || file_mentions(stage, "system-site-packages") ||
      file_mentions(stage, "dist-packages"))
    return;
  for (const Invocation& command : run.commands) {
    if (!is_apt(command, "install")) continue;
    for (const ShellWord& word : command.operands(kAptValues)) {
      if (!word.literal || !word.text.starts_with("python3-")) continue;
      const std::string package = word.text.substr(0, word.text.find('='));
      reporter.add(
          "AptPythonPackage", *run.instruction,
          base::quoted(package) +
              " is for Debian's own Python, which it installs too: the Python of the image " +
              base::quoted(stage.bottom().image_text) + " does not see it; use pip");
      return;
    }
  }
}

}  // namespace

void check_packages(const StageFacts& stage, Reporter& reporter) {
  for (const auto& step : stage.steps) {
    const auto* run = std::get_if<RunFacts>(&step);
    if (run == nullptr || !run->understood) continue;
    check_apt(stage, *run, reporter);
    check_apk(stage, *run, reporter);
    check_pip(stage, *run, reporter);
    check_python_packages(stage, *run, reporter);
  }
}

}  // namespace strake::check
