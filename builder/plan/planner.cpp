#include "builder/plan/planner.h"

#include <algorithm>

#include "builder/plan/stage_planner.h"
#include "layers/base/default_path.h"
#include "layers/base/error.h"

namespace strake::plan {
namespace {

bool has_path(const std::vector<std::string>& env) {
  return std::any_of(env.begin(), env.end(),
                     [](const std::string& variable) { return variable.starts_with("PATH="); });
}

class Planner {
 public:
  Planner(const StageGraph& graph, const PlanOptions& options, const ResolvedImages& images)
      : graph_(graph), options_(options), images_(images), states_(graph.stages.size()) {}

  BuildPlan plan() {
    for (const Stage& stage : graph_.stages)
      if (stage.needed) states_[stage.number] = plan_stage(stage);
    const Stage& target = graph_.stages[graph_.target];
    StageState& result = states_[target.number];
    BuildPlan plan;
    plan.config = std::move(result.image);
    plan.platform = options_.platform_given ? options_.target_platform : plan.config.platform;
    plan.config.platform = plan.platform;
    for (const auto& [name, value] : options_.labels) plan.config.config.labels[name] = value;
    plan.history = std::move(result.history);
    plan.result = result.file_system;
    plan.steps = std::move(steps_);
    number_steps(plan.steps);
    return plan;
  }

 private:
  StageState plan_stage(const Stage& stage) {
    StageState state = start(stage);
    SourceMap sources;
    for (const auto& [place, source] : stage.sources) {
      // COPY reads a context in place; nothing of it needs to be a layer.
      if (const auto* context = std::get_if<ContextBase>(&source))
        sources.emplace(place, context->context);
      else
        sources.emplace(place, *source_step(stage, source));
    }
    return StagePlanner(stage, graph_, options_, std::move(state), std::move(sources),
                        graph_.escape, steps_)
        .run();
  }

  /// What the stage finds before its first instruction.
  StageState start(const Stage& stage) {
    StageState state;
    if (const auto* base = std::get_if<StageBase>(&stage.base)) {
      state = states_[base->stage];
      state.cmd_set = false;
      state.image.config.on_build.clear();  // they have fired
      if (!state.file_system) state.file_system = add_source(stage, Scratch{}, stage.where);
      return state;
    }
    state.file_system = source_step(stage, stage.base);
    if (const auto* request = std::get_if<ImageRequest>(&stage.base)) {
      state.image = images_.at(*request).config;
      state.image.config.on_build.clear();
      state.image.created.clear();
    } else {
      state.image.platform = stage.platform;
      state.image.config.working_dir = "/";
    }
    if (!has_path(state.image.config.env))
      state.image.config.env.push_back("PATH=" + std::string(base::kDefaultPath));
    for (const std::string& variable : state.image.config.env) {
      const std::size_t equals = variable.find('=');
      if (equals != std::string::npos)
        state.env.set(variable.substr(0, equals), variable.substr(equals + 1));
    }
    return state;
  }

  /// The step that gives the file system of `source`, made if there is none yet.
  std::optional<StepId> source_step(const Stage& stage, const Base& source) {
    if (const auto* from = std::get_if<StageBase>(&source)) {
      if (const auto step = states_[from->stage].file_system) return step;
      return add_source(stage, Scratch{}, stage.where);
    }
    if (std::holds_alternative<ScratchBase>(source))
      return add_source(stage, Scratch{}, stage.where);
    if (const auto* context = std::get_if<ContextBase>(&source))
      return context_step(stage, context->context);
    const auto& request = std::get<ImageRequest>(source);
    if (const auto known = image_steps_.find(request); known != image_steps_.end())
      return known->second;
    const ResolvedImage& image = images_.at(request);
    const StepId id = add_source(
        stage, FromImage{image.image, image.config.platform, image.config.diff_ids}, stage.where);
    image_steps_.emplace(request, id);
    return id;
  }

  /// FROM a named context: all its files, as a layer.
  StepId context_step(const Stage& stage, const std::string& context) {
    const StepId empty = add_source(stage, Scratch{}, stage.where);
    Copy copy;
    copy.context = context;
    copy.sources = {"/"};
    copy.destination = "/";
    const StepId id = add_source(stage, std::move(copy), stage.where);
    steps_.back().parent = empty;
    return id;
  }

  StepId add_source(const Stage& stage, Operation operation, const base::SourceRange& where) {
    Step step;
    step.id = static_cast<StepId>(steps_.size());
    step.title = "FROM scratch";
    if (const auto* copy = std::get_if<Copy>(&operation)) step.title = "FROM " + copy->context;
    if (const auto* image = std::get_if<FromImage>(&operation))
      step.title = "FROM " + image->image.familiar();
    step.operation = std::move(operation);
    step.stage = stage.shown_name();
    step.where = where;
    steps_.push_back(std::move(step));
    return steps_.back().id;
  }

  /// "2/5" among the steps of its stage.
  static void number_steps(std::vector<Step>& steps) {
    std::map<std::string, std::size_t> totals, counts;
    for (const Step& step : steps) ++totals[step.stage];
    for (Step& step : steps)
      step.label = std::to_string(++counts[step.stage]) + "/" + std::to_string(totals[step.stage]);
  }

  const StageGraph& graph_;
  const PlanOptions& options_;
  const ResolvedImages& images_;
  std::vector<StageState> states_;  // by stage number
  std::vector<Step> steps_;
  std::map<ImageRequest, StepId> image_steps_;
};

}  // namespace

BuildPlan make_plan(const StageGraph& graph, const PlanOptions& options,
                    const ResolvedImages& images) {
  return Planner(graph, options, images).plan();
}

}  // namespace strake::plan
