// The instructions that make steps: RUN, COPY, ADD and WORKDIR.

#include <algorithm>

#include "builder/dockerfile/expansion.h"
#include "builder/dockerfile/file_mode.h"
#include "builder/dockerfile/git_url.h"
#include "builder/dockerfile/glob.h"
#include "builder/dockerfile/source_url.h"
#include "builder/plan/stage_planner.h"
#include "layers/base/error.h"

namespace strake::plan {
namespace {

using base::Error;
using base::ErrorCode;

constexpr const char* kContextSource = "/source";

/// ADD takes these from the network, not from the context.
bool is_remote(const std::string& source) {
  return dockerfile::classify_add_source(source) != dockerfile::AddSource::local;
}

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

std::string last_component(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

std::ptrdiff_t components(const std::string& path) {
  return std::count(path.begin(), path.end(), '/');
}

}  // namespace

void StagePlanner::plan(const dockerfile::Run& run) {
  const bool insecure = run.security == dockerfile::Run::Security::insecure;
  if (insecure && !options_.allow_insecure)
    throw Error(ErrorCode::denied, "RUN --security=insecure is not allowed")
        .hint("it has all rights of the builder; to grant them add --allow security.insecure");
  const bool host_network = run.network == dockerfile::Run::Network::host;
  if (host_network && !options_.allow_host_network)
    throw Error(ErrorCode::denied,
                "RUN --network=host is not allowed: this build has another network")
        .hint("to grant it add --allow network.host");
  Run step;
  if (std::holds_alternative<dockerfile::ExecForm>(run.command)) {
    step.argv = std::get<dockerfile::ExecForm>(run.command).argv;
  } else {
    dockerfile::RunScript script = dockerfile::run_script(run);
    step.argv = shell();
    if (script.has_interpreter) {
      // The shell starts the file: SHELL may prepare the environment that the interpreter is in.
      step.argv.push_back("/dev/pipes/" + script.name);
      step.scripts.push_back({script.name, std::move(script.text)});
    } else {
      step.argv.push_back(std::move(script.text));
    }
  }
  if (step.argv.empty()) throw Error(ErrorCode::invalid_input, "RUN has no command");
  step.env = state_.env.list();
  step.proxy_env = proxy_environment();
  step.user = config().user;
  step.working_dir = config().working_dir.empty() ? "/" : config().working_dir;
  step.architecture = run_architecture();
  step.insecure = insecure;
  step.shell = shell().front();
  step.hostname = options_.hostname;
  step.network = options_.network;
  if (run.network == dockerfile::Run::Network::none) step.network = false;
  if (host_network) step.network = step.host_network = true;
  step.mounts = mounts_of(run);
  for (const dockerfile::RunDevice& device : run.devices)
    step.devices.push_back({expand(device.name), device.required});
  const std::string created_by = "RUN " + run_prefix() + join(step.argv) + " # buildkit";
  add_step(std::move(step));
  add_history(created_by, true);
}

/// A lone image is taken whatever its platform. Where its config and the stage disagree, the one
/// that is not this machine's counts: the machine's own programs run in any case.
const std::string& StagePlanner::run_architecture() const {
  const std::string& of_image = state_.image.platform.architecture;
  const bool foreign = !of_image.empty() && of_image != options_.build_platform.architecture;
  return foreign ? of_image : stage_.platform.architecture;
}

void StagePlanner::plan(const dockerfile::Copy& copy) {
  Copy step = expanded(copy.transfer);
  step.parents = copy.parents;
  if (!copy.from.empty()) {
    const auto& source = sources_.at({position_});
    if (const auto* id = std::get_if<StepId>(&source))
      step.from = *id;
    else
      step.context = std::get<std::string>(source);
  }
  const std::string text = copy_text("COPY", step);
  add_step(std::move(step));
  add_history(text, true);
}

void StagePlanner::plan(const dockerfile::Add& add) {
  Copy step = expanded(add.transfer);
  step.extract = add.unpack.value_or(true);
  const std::string text = copy_text("ADD", step);
  check_remote_flags(add, step.sources);
  if (std::any_of(step.sources.begin(), step.sources.end(), is_remote)) {
    fetch_sources(add, step);
    step.extract = add.unpack.value_or(false);
  }
  add_step(std::move(step));
  add_history(text, true);
}

void StagePlanner::check_remote_flags(const dockerfile::Add& add,
                                      const std::vector<std::string>& sources) const {
  const bool git = std::any_of(sources.begin(), sources.end(), [](const std::string& source) {
    return dockerfile::classify_add_source(source) == dockerfile::AddSource::git;
  });
  if (add.checksum && sources.size() + add.transfer.heredocs.size() != 1)
    throw Error(ErrorCode::invalid_input, "ADD --checksum needs exactly one source");
  if (add.checksum && (sources.empty() || !is_remote(sources.front())))
    throw Error(ErrorCode::invalid_input, "ADD --checksum needs a remote source")
        .hint("files of the build context are compared by content anyway");
  if (add.keep_git_dir && !git)
    throw Error(ErrorCode::invalid_input, "ADD --keep-git-dir needs a git source");
}

/// Steps beside the stage's chain that gather what ADD names, each source in a directory of its own
/// (they may have files of the same name); then `step` copies from there.
void StagePlanner::fetch_sources(const dockerfile::Add& add, Copy& step) {
  const std::string checksum = add.checksum ? expand(*add.checksum) : "";
  std::vector<std::string> gathered;
  StepId last = add_source(Scratch{}, std::nullopt, "FROM scratch");
  for (const std::string& source : step.sources) {
    const std::string place = "/" + std::to_string(gathered.size());
    Operation operation;
    switch (dockerfile::classify_add_source(source)) {
      case dockerfile::AddSource::http: {
        const std::string path = place + "/" + dockerfile::url_file_name(source);
        operation = FetchFile{source, checksum, path};
        gathered.push_back(path);
        break;
      }
      case dockerfile::AddSource::git:
        dockerfile::parse_git_url(source);  // refused here, at its line
        operation = FetchGit{source, checksum, add.keep_git_dir.value_or(false), place};
        gathered.push_back(place);
        break;
      case dockerfile::AddSource::local: {
        Copy copy;
        copy.sources = {source};
        copy.destination = place + "/";
        copy.excludes = step.excludes;
        copy.extract = step.extract;
        operation = std::move(copy);
        gathered.push_back(place);
        break;
      }
    }
    last = add_source(std::move(operation), last, "fetch " + source);
  }
  step.from = last;
  step.sources = std::move(gathered);
  step.exact = true;
}

Copy StagePlanner::expanded(const dockerfile::Transfer& transfer) const {
  Copy step;
  step.sources = expand_all(transfer.sources);
  for (const dockerfile::Heredoc& heredoc : transfer.heredocs) {
    const auto lookup = [this](std::string_view name) { return state_.env.find(name); };
    step.files.push_back(
        {heredoc.name, heredoc.expand ? dockerfile::expand_heredoc_body(heredoc.body(), lookup).text
                                      : heredoc.body()});
  }
  const std::string destination = expand(transfer.destination);
  step.destination = absolute(destination);
  const bool directory = destination.empty() || destination == "." || destination.back() == '/' ||
                         (destination.size() > 1 && destination.ends_with("/."));
  if (directory && step.destination.back() != '/') step.destination += '/';
  if (transfer.chown) step.chown = expand(*transfer.chown);
  if (transfer.chmod) {
    step.chmod = expand(*transfer.chmod);
    dockerfile::FileModeChange::parse(step.chmod);  // refused here, at its line
  }
  step.link = transfer.link;
  step.excludes = transfer.excludes;  // docker expands no variables there
  return step;
}

/// As docker shows it: without --link, --exclude and the flags of remote sources.
std::string StagePlanner::copy_text(const char* keyword, const Copy& copy) const {
  std::string text = keyword;
  if (copy.parents) text += " --parents";
  if (!copy.chown.empty()) text += " --chown=" + copy.chown;
  if (!copy.chmod.empty()) text += " --chmod=" + copy.chmod;
  for (const std::string& source : copy.sources) text += " " + source;
  for (const InlineFile& file : copy.files) text += " <<" + file.name;
  const auto& operation = instruction_->operation;
  const auto* add = std::get_if<dockerfile::Add>(&operation);
  const auto& transfer =
      add != nullptr ? add->transfer : std::get<dockerfile::Copy>(operation).transfer;
  return text + " " + expand(transfer.destination) + " # buildkit";
}

void StagePlanner::plan(const dockerfile::Workdir& workdir) {
  const std::string path = absolute(expand(workdir.path));
  config().working_dir = path;
  if (path != "/") add_step(MakeDirectory{path, config().user});
  add_history("WORKDIR " + path, path != "/");
}

// ---- Mounts of RUN ------------------------------------------------------------------------------

std::vector<Mount> StagePlanner::mounts_of(const dockerfile::Run& run) {
  std::vector<Mount> mounts;
  std::size_t agents = 0;
  for (std::size_t i = 0; i < run.mounts.size(); ++i) {
    mounts.push_back(mount_of(run, i));
    dockerfile::Mount& options = mounts.back().options;
    if (options.type == dockerfile::MountType::ssh && options.target.empty())
      options.target = "/run/buildkit/ssh_agent." + std::to_string(agents);
    agents += options.type == dockerfile::MountType::ssh ? 1 : 0;
  }
  // What lies inside of another mount has to come after it.
  const auto depth = [](const Mount& mount) { return components(mount.options.target); };
  std::stable_sort(mounts.begin(), mounts.end(),
                   [&](const Mount& a, const Mount& b) { return depth(a) < depth(b); });
  return mounts;
}

Mount StagePlanner::mount_of(const dockerfile::Run& run, std::size_t position) {
  using dockerfile::MountType;
  Mount mount;
  dockerfile::Mount& options = mount.options;
  options = dockerfile::resolve_mount(run.mounts[position],
                                      [this](std::string_view word) { return expand(word); });
  const bool has_files = options.type == MountType::bind || options.type == MountType::cache;
  if (options.type == MountType::secret) {
    if (options.id.empty()) options.id = options.source;
    if (options.id.empty()) options.id = last_component(options.target);
    if (options.id.empty()) options.id = options.variable;
    if (options.target.empty() && options.variable.empty()) {
      const std::string name = last_component(options.id);
      if (name.empty() || name == "." || name == "..")
        throw Error(ErrorCode::invalid_input,
                    "a mount of type \"secret\" needs an id that is a file name, or a target");
      options.target = "/run/secrets/" + name;
    }
  } else if (options.type == MountType::ssh) {
    if (options.id.empty()) options.id = "default";
  } else if (options.target.empty()) {
    throw Error(ErrorCode::invalid_input,
                "a mount of type \"" + std::string(to_string(options.type)) + "\" needs a target");
  }
  if (!options.target.empty()) options.target = absolute(options.target);
  if (options.target == "/")
    throw Error(ErrorCode::invalid_input, "a mount cannot have the target \"/\"");
  if (options.type == MountType::cache && options.id.empty()) options.id = options.target;
  // Between them what no id has, so that no id reaches into another namespace.
  if (options.type == MountType::cache && !options_.cache_mount_namespace.empty())
    options.id = options_.cache_mount_namespace + '\0' + options.id;
  if (!has_files) return mount;

  options.source = dockerfile::clean_path("/" + options.source);
  const auto named = sources_.find({position_, position});
  if (named == sources_.end() && options.type == MountType::cache) return mount;
  const std::string* context = nullptr;
  static const std::string kBuildContext;
  if (named == sources_.end())
    context = &kBuildContext;
  else if (const auto* step = std::get_if<StepId>(&named->second))
    mount.from = *step;
  else
    context = &std::get<std::string>(named->second);
  if (context != nullptr) {
    mount.from = context_layer(*context, options.source);
    options.source = kContextSource;
  }
  return mount;
}

/// A step that has `source` of a context at kContextSource. It makes the files of a mount what
/// those of COPY are: owned by root, without what .dockerignore leaves out, compared by content.
StepId StagePlanner::context_layer(const std::string& context, const std::string& source) {
  const auto known = context_layers_.find({context, source});
  if (known != context_layers_.end()) return known->second;
  const StepId empty = add_source(Scratch{}, std::nullopt, "FROM scratch");
  Copy copy;
  copy.context = context;
  copy.sources = {source};
  copy.exact = true;
  copy.destination = kContextSource;
  const StepId id = add_source(
      std::move(copy), empty,
      "load " + source + " from the build context" + (context.empty() ? "" : " " + context));
  context_layers_.emplace(std::pair(context, source), id);
  return id;
}

}  // namespace strake::plan
