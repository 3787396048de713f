#include "builder/plan/build_plan.h"
#include "builder/plan/go_format.h"

namespace strake::plan {
namespace {

std::string id_text(StepId id) {
  return "#" + std::to_string(static_cast<std::size_t>(id));
}

std::string octal(std::uint32_t mode) {
  std::string digits;
  for (; mode != 0; mode /= 8) digits.insert(digits.begin(), static_cast<char>('0' + mode % 8));
  return "0" + digits;
}

/// Only what is set: " mount cache /root/.cache id=pip".
std::string mount_text(const Mount& mount) {
  const dockerfile::Mount& options = mount.options;
  std::string text = " mount " + std::string(to_string(options.type)) + " " + options.target;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) text += std::string(" ") + name + "=" + value;
  };
  add("id", options.id);
  add("env", options.variable);
  if (mount.from) text += " from " + id_text(*mount.from) + " " + options.source;
  if (options.type == dockerfile::MountType::cache)
    add("sharing", std::string(to_string(options.sharing)));
  if (options.mode) add("mode", octal(*options.mode));
  if (options.uid) add("uid", std::to_string(*options.uid));
  if (options.gid) add("gid", std::to_string(*options.gid));
  if (options.size_bytes != 0) add("size", std::to_string(options.size_bytes));
  if (options.required) text += " required";
  const bool has_files =
      options.type == dockerfile::MountType::bind || options.type == dockerfile::MountType::cache;
  if (has_files) text += options.read_only ? " ro" : " rw";
  return text;
}

struct OperationText {
  std::string operator()(const Scratch&) const { return "scratch"; }

  std::string operator()(const FromImage& from) const {
    return "image " + from.image.str() + " platform=" + from.platform.str() +
           " layers=" + std::to_string(from.diff_ids.size());
  }

  std::string operator()(const Run& run) const {
    std::string text = "run " + go_quoted(run.argv) + " env=" + go_quoted(run.env) +
                       " user=" + go_quoted(run.user) + " cwd=" + go_quoted(run.working_dir);
    for (const InlineFile& script : run.scripts)
      text += " script " + script.name + "=" + go_quoted(script.content);
    for (const Mount& mount : run.mounts) text += mount_text(mount);
    for (const dockerfile::RunDevice& device : run.devices)
      text += " device " + device.name + (device.required ? " required" : "");
    if (!run.network) text += " network=none";
    if (run.host_network) text += " network=host";
    if (run.insecure) text += " insecure";
    return text;
  }

  std::string operator()(const Copy& copy) const {
    std::string text = copy.extract ? "add " : "copy ";
    text += go_quoted(copy.sources);
    for (const InlineFile& file : copy.files)
      text += " <<" + file.name + "=" + go_quoted(file.content);
    text += " to " + go_quoted(copy.destination);
    text += copy.from ? " from " + id_text(*copy.from) : " from context";
    if (!copy.context.empty()) text += " " + copy.context;
    if (!copy.chown.empty()) text += " chown=" + copy.chown;
    if (!copy.chmod.empty()) text += " chmod=" + copy.chmod;
    if (!copy.excludes.empty()) text += " exclude=" + go_quoted(copy.excludes);
    if (copy.parents) text += " parents";
    if (copy.link) text += " link";
    return text;
  }

  std::string operator()(const FetchFile& fetch) const {
    return "fetch " + fetch.url + " to " + go_quoted(fetch.path) +
           (fetch.checksum.empty() ? "" : " checksum=" + fetch.checksum);
  }

  std::string operator()(const FetchGit& fetch) const {
    return "fetch git " + fetch.url + " to " + go_quoted(fetch.path) +
           (fetch.checksum.empty() ? "" : " checksum=" + fetch.checksum) +
           (fetch.keep_git_dir ? " keep-git-dir" : "");
  }

  std::string operator()(const MakeDirectory& directory) const {
    return "mkdir " + go_quoted(directory.path) + " user=" + go_quoted(directory.user);
  }
};

}  // namespace

std::string to_text(const BuildPlan& plan) {
  std::string text = "platform " + plan.platform.str() + "\n";
  for (const Step& step : plan.steps) {
    text += id_text(step.id) + " [" + step.stage + " " + step.label + "]";
    if (step.parent) text += " on " + id_text(*step.parent);
    text += " " + std::visit(OperationText(), step.operation) + "\n";
  }
  text += "result " + (plan.result ? id_text(*plan.result) : "scratch") + "\n";
  for (const HistoryEntry& entry : plan.history)
    text += "history " + (entry.step ? id_text(*entry.step) + " " : std::string()) +
            go_quoted(entry.created_by) + "\n";
  return text + "config " + oci::to_json(plan.config) + "\n";
}

}  // namespace strake::plan
