#include "builder/plan/build_plan.h"

namespace strake::plan {

std::vector<StepId> inputs_of(const Step& step) {
  std::vector<StepId> inputs;
  if (step.parent) inputs.push_back(*step.parent);
  if (const auto* copy = std::get_if<Copy>(&step.operation); copy != nullptr && copy->from)
    inputs.push_back(*copy->from);
  if (const auto* run = std::get_if<Run>(&step.operation))
    for (const Mount& mount : run->mounts)
      if (mount.from) inputs.push_back(*mount.from);
  return inputs;
}

}  // namespace strake::plan
