#include <algorithm>
#include <array>
#include <map>

#include "builder/check/own_rules.h"
#include "builder/dockerfile/glob.h"

namespace strake::check {
namespace {

using dockerfile::Instruction;

bool is_pattern(const std::string& path) {
  return dockerfile::has_wildcards(path);
}

/// Where the layers of an image put what, as far as the text says so.
class AddedFiles {
 public:
  void add(const TransferFacts& transfer) {
    const std::optional<std::string> destination = transfer.absolute_destination();
    if (!destination) return;
    // A directory's content lands in the destination; which names it brings is not known.
    const bool is_directory = destination->ends_with('/') || transfer.sources.size() > 1;
    for (const std::string& source : transfer.sources) {
      if (is_pattern(source) || source.find("://") != std::string::npos) continue;
      const std::string name =
          dockerfile::clean_path(source).substr(dockerfile::clean_path(source).rfind('/') + 1);
      if (name == "." || name.empty()) continue;
      paths_[dockerfile::clean_path(is_directory ? *destination + "/" + name : *destination)] =
          transfer.instruction;
    }
  }

  /// What a RUN downloads to a named file, and the package lists it leaves.
  void add(const RunFacts& run) {
    bool updates = false;
    for (const Invocation& command : run.commands) {
      updates |=
          (command.program == "apt-get" || command.program == "apt") && command.verb() == "update";
      if (command.program == "curl" || command.program == "wget") add_download(run, command);
    }
    if (updates && !run.has_mount_over("/var/lib/apt/lists"))
      paths_["/var/lib/apt/lists"] = run.instruction;
  }

  /// The instruction that put `path` there, or something below it.
  const Instruction* find(const std::string& path) const {
    const auto found = paths_.lower_bound(path);
    if (found == paths_.end()) return nullptr;
    if (found->first == path) return found->second;
    const auto below = paths_.lower_bound(path + "/");
    return below != paths_.end() && below->first.starts_with(path + "/") ? below->second : nullptr;
  }

  void forget(const std::string& path) {
    std::erase_if(paths_, [&](const auto& added) {
      return added.first == path || added.first.starts_with(path + "/");
    });
  }

 private:
  void add_download(const RunFacts& run, const Invocation& command) {
    const std::string_view option = command.program == "curl" ? "-o" : "-O";
    for (std::size_t i = 0; i + 1 < command.arguments.size(); ++i) {
      const ShellWord& target = command.arguments[i + 1];
      if (command.arguments[i].is(option) && target.literal && target.text.starts_with('/'))
        paths_[dockerfile::clean_path(target.text)] = run.instruction;
    }
  }

  std::map<std::string, const Instruction*> paths_;
};

/// Files that `rm` names, absolute; those behind a `cd` cannot be told.
std::vector<std::string> removed_paths(const RunFacts& run) {
  std::vector<std::string> paths;
  bool moved = false;
  for (const Invocation& command : run.commands) {
    moved |= command.program == "cd" || command.program == "pushd";
    if (command.program != "rm") continue;
    for (const ShellWord& word : command.arguments) {
      if (!word.literal || word.text.starts_with('-') || word.text.empty()) continue;
      std::string path = word.text;
      if (path.ends_with("/*")) path.resize(path.size() - 2);
      if (path.empty() || is_pattern(path) || path.starts_with('~')) continue;
      if (!path.starts_with('/')) {
        if (moved || !run.workdir) continue;
        path = *run.workdir + "/" + path;
      }
      paths.push_back(dockerfile::clean_path(path));
    }
  }
  return paths;
}

/// In the order of the layers: the stages below, then this one, about which is reported.
void check_removed(const StageFacts& stage, AddedFiles& added, Reporter* reporter) {
  if (stage.base != nullptr) check_removed(*stage.base, added, nullptr);
  for (const auto& step : stage.steps) {
    if (const auto* transfer = std::get_if<TransferFacts>(&step)) {
      added.add(*transfer);
      continue;
    }
    const auto& run = std::get<RunFacts>(step);
    if (!run.understood) continue;
    const std::vector<std::string> removed = removed_paths(run);
    for (const std::string& path : removed) {
      const Instruction* by = added.find(path);
      if (by == nullptr || run.has_mount_over(path)) continue;
      if (reporter != nullptr)
        reporter->add("FileRemovedInLaterLayer", *run.instruction,
                      base::quoted(path) + " was added by the " + by->name + " of line " +
                          std::to_string(by->where.first_line) +
                          ", so removing it here makes the image no smaller");
    }
    added.add(run);
    for (const std::string& path : removed) added.forget(path);  // what it added itself, too
  }
}

// ---- The order of COPY and installation ------------------------------------------------------

bool copies_everything(const TransferFacts& transfer) {
  if (!transfer.from_context || transfer.has_inline_files || transfer.sources.size() != 1)
    return false;
  const auto& operation = transfer.instruction->operation;
  const auto* copy = std::get_if<dockerfile::Copy>(&operation);
  if (copy != nullptr && !copy->transfer.excludes.empty()) return false;
  return dockerfile::clean_path(transfer.sources.front()) == "." || transfer.sources.front() == "/";
}

/// pip install with nothing but requirements files.
bool installs_requirements_only(const Invocation& command) {
  bool has_file = false;
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    const std::string& text = command.arguments[i].text;
    if (text == "-e" || text == "--editable" || text == "." || text.starts_with("./") ||
        text.starts_with(".["))
      return false;
    has_file |= text == "-r" || text == "--requirement" || text.starts_with("--requirement=") ||
                (text.starts_with("-r") && text.size() > 2);
  }
  return has_file;
}

/// The dependencies' file that a command needs and nothing else; "" if it needs more.
std::string manifest_of(const Invocation& command) {
  const std::string verb = command.verb();
  const bool is_pip = command.program == "pip" || command.program == "pip3";
  if (is_pip && verb == "install" && installs_requirements_only(command)) return "requirements.txt";
  const bool is_npm = command.program == "npm" || command.program == "pnpm";
  if (is_npm && (verb == "ci" || verb == "install" || verb == "i") && command.operands().empty() &&
      !command.has("-g") && !command.has("--global"))
    return "package.json and its lock file";
  if (command.program == "yarn" && (verb.empty() || verb == "install") && command.all_literal() &&
      !command.has("--version") && !command.has("-v"))
    return "package.json and its lock file";
  if (command.program == "bundle" && verb == "install") return "Gemfile and Gemfile.lock";
  if (command.program == "go" && verb == "mod" && command.has("download"))
    return "go.mod and go.sum";
  return "";
}

void check_order(const StageFacts& stage, Reporter& reporter) {
  const TransferFacts* everything = nullptr;
  bool installed = false;
  for (const auto& step : stage.steps) {
    if (const auto* transfer = std::get_if<TransferFacts>(&step)) {
      if (everything == nullptr && copies_everything(*transfer)) everything = transfer;
      continue;
    }
    const auto& run = std::get<RunFacts>(step);
    if (!run.understood) continue;
    for (const Invocation& command : run.commands) {
      const std::string manifest = manifest_of(command);
      if (manifest.empty() || installed) continue;
      installed = true;  // a second time is about something else
      if (everything == nullptr) continue;
      reporter.add(
          "CopyBeforeInstall", *everything->instruction,
          "everything is copied before " +
              base::quoted(command.program + (command.verb().empty() ? "" : " " + command.verb())) +
              " in line " + std::to_string(run.instruction->where.first_line) +
              ", which so runs again after every change: copy " + manifest + " first");
    }
  }
}

// ---- Where files land ------------------------------------------------------------------------

/// Official images with a WORKDIR that people build on.
bool brings_workdir(const StageFacts& stage) {
  constexpr auto kImages = std::to_array<std::string_view>(
      {"golang", "php", "wordpress", "tomcat", "httpd", "drupal", "rails", "jruby", "composer"});
  const std::optional<NamedImage>& image = stage.bottom().image;
  return image && std::find(kImages.begin(), kImages.end(), image->official()) != kImages.end();
}

/// Only images whose WORKDIR is known to be "/": those of others may set one to be used.
bool starts_in_root(const StageFacts& stage) {
  const std::optional<NamedImage>& image = stage.bottom().image;
  return image && !image->official().empty() && !brings_workdir(stage);
}

void check_destination(const StageFacts& stage, Reporter& reporter) {
  if (!starts_in_root(stage)) return;
  for (const auto& step : stage.steps) {
    const auto* transfer = std::get_if<TransferFacts>(&step);
    if (transfer == nullptr || transfer->has_workdir || transfer->destination.starts_with('/'))
      continue;
    reporter.add("CopyWithoutWorkdir", *transfer->instruction,
                 "no WORKDIR is set, so " + base::quoted(transfer->destination) +
                     " is in the WORKDIR of the base image " +
                     base::quoted(stage.bottom().image_text) + ", or in \"/\"");
    return;  // one WORKDIR cures all
  }
}

}  // namespace

void check_layers(const StageFacts& stage, Reporter& reporter) {
  if (stage.in_image) {
    AddedFiles added;
    check_removed(stage, added, &reporter);
  }
  check_order(stage, reporter);
  check_destination(stage, reporter);
}

}  // namespace strake::check
