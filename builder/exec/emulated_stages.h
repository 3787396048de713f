#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "builder/exec/build.h"
#include "builder/exec/step_runner.h"
#include "builder/plan/build_plan.h"
#include "builder/plan/stage_graph.h"

namespace strake::builder {

/// That the command of a step runs on: its stage's, unless the base image is for another one.
oci::Platform platform_of(const plan::StageGraph& graph, const plan::Step& step,
                          const plan::Run& run);

/// What runs programs of an architecture: "qemu-aarch64".
using EmulatorName = std::function<std::string(const std::string& architecture)>;

/// The stages that had commands run emulated now, in the order of their first such step. `plan` was
/// made of `graph`, `results` are those of its steps.
std::vector<EmulatedStage> emulated_stages(const plan::StageGraph& graph,
                                           const plan::BuildPlan& plan,
                                           std::span<const StepResult> results,
                                           const EmulatorName& emulator);

}  // namespace strake::builder
