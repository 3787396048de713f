#pragma once

#include "builder/dockerfile/instruction.h"
#include "builder/plan/stage_graph.h"

namespace strake::builder {

/// Logs what docker's build checks find in the stages that the build needs, as warnings. `graph`
/// and `options` are of one platform, `images` what its base images are.
///
/// Throws Error(invalid_input) if there are findings and the Dockerfile makes them errors
/// ("# check=error=true"), or if BUILDKIT_DOCKERFILE_CHECK is not understood.
void report_build_checks(const dockerfile::Dockerfile& file, const plan::StageGraph& graph,
                         const plan::PlanOptions& options, const plan::ResolvedImages& images);

}  // namespace strake::builder
