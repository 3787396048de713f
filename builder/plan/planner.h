#pragma once

#include "builder/plan/build_plan.h"
#include "builder/plan/stage_graph.h"

namespace strake::plan {

/// Expands variables and turns the needed instructions of `graph` into steps. Every image of
/// graph.required_images() must be in `images`. Pure.
///
/// Throws Error(invalid_input) with the line for what cannot be expanded or is wrong once expanded,
/// Error(unsupported) for what this version parses but does not execute.
BuildPlan make_plan(const StageGraph& graph, const PlanOptions& options,
                    const ResolvedImages& images);

}  // namespace strake::plan
