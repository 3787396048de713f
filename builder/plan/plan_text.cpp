#include "builder/plan/build_plan.h"
#include "builder/plan/go_format.h"

namespace strake::plan {
namespace {

std::string id_text(StepId id) {
  return "#" + std::to_string(static_cast<std::size_t>(id));
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
    if (!run.network) text += " network=none";
    return text;
  }

  std::string operator()(const Copy& copy) const {
    std::string text = copy.extract ? "add " : "copy ";
    text += go_quoted(copy.sources);
    for (const InlineFile& file : copy.files)
      text += " <<" + file.name + "=" + go_quoted(file.content);
    text += " to " + go_quoted(copy.destination);
    text += copy.from ? " from " + id_text(*copy.from) : " from context";
    if (!copy.chown.empty()) text += " chown=" + copy.chown;
    if (!copy.chmod.empty()) text += " chmod=" + copy.chmod;
    if (!copy.excludes.empty()) text += " exclude=" + go_quoted(copy.excludes);
    if (copy.parents) text += " parents";
    if (copy.link) text += " link";
    return text;
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
