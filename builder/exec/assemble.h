#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "builder/exec/step_runner.h"
#include "builder/plan/build_plan.h"
#include "layers/oci/image_config.h"

namespace strake::builder {

/// An image that was built, before any output gave it a manifest.
struct AssembledImage {
  oci::ImageConfig config;
  std::string config_json;         // the bytes of `config`
  oci::Descriptor config_blob;     // of `config_json`, OCI type
  std::vector<oci::Layer> layers;  // bottom first, the base image's included
  std::chrono::system_clock::time_point created;
};

/// Puts config, history and layers of `plan`'s result together.
///
/// A metadata-only entry gets the time of the next layer (of the last one, behind it), so that the
/// same steps give the same image each time; with `source_date_epoch` no new time is later than it.
/// `layer_of` tells a layer's tar size where it is known. Spec: config.md, "Properties".
AssembledImage assemble(const plan::BuildPlan& plan, const std::vector<StepResult>& results,
                        std::optional<std::int64_t> source_date_epoch, Machine& machine);

/// "2026-11-22T08:24:14Z", or with the fraction when there is one.
std::string rfc3339(std::chrono::system_clock::time_point time);

}  // namespace strake::builder
