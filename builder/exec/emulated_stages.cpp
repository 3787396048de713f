#include "builder/exec/emulated_stages.h"

#include <algorithm>

namespace strake::builder {
namespace {

using plan::Stage;

const Stage& stage_of(const plan::StageGraph& graph, const plan::Step& step) {
  return *std::find_if(graph.stages.begin(), graph.stages.end(), [&](const Stage& stage) {
    return stage.needed && stage.shown_name() == step.stage;
  });
}

/// The stage whose FROM names an image: that line decides for what platform `stage` is.
const Stage& first_stage(const plan::StageGraph& graph, const Stage& stage) {
  const Stage* first = &stage;
  while (const auto* below = std::get_if<plan::StageBase>(&first->base))
    first = &graph.stages[below->stage];
  return *first;
}

EmulatedStage nothing_yet(const plan::StageGraph& graph, const plan::Step& step,
                          const EmulatorName& emulator) {
  const oci::Platform platform = platform_of(graph, step, std::get<plan::Run>(step.operation));
  const Stage& first = first_stage(graph, stage_of(graph, step));
  return {.platform = platform,
          .stage = step.stage,
          .first_stage = first.shown_name(),
          .emulator = emulator(platform.architecture),
          .in_image = first.number == first_stage(graph, graph.stages[graph.target]).number};
}

}  // namespace

oci::Platform platform_of(const plan::StageGraph& graph, const plan::Step& step,
                          const plan::Run& run) {
  const oci::Platform& platform = stage_of(graph, step).platform;
  if (run.architecture == platform.architecture) return platform;
  return {platform.os, run.architecture, ""};
}

std::vector<EmulatedStage> emulated_stages(const plan::StageGraph& graph,
                                           const plan::BuildPlan& plan,
                                           std::span<const StepResult> results,
                                           const EmulatorName& emulator) {
  std::vector<EmulatedStage> stages;
  for (const plan::Step& step : plan.steps) {
    const std::chrono::milliseconds time = results[static_cast<std::size_t>(step.id)].emulated;
    if (time.count() == 0) continue;
    auto stage = std::find_if(stages.begin(), stages.end(), [&](const EmulatedStage& other) {
      return other.stage == step.stage;
    });
    if (stage == stages.end())
      stage = stages.insert(stages.end(), nothing_yet(graph, step, emulator));
    stage->time += time;
  }
  return stages;
}

}  // namespace strake::builder
