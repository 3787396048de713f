#pragma once

#include <string>
#include <utility>

#include "builder/dockerfile/parser.h"
#include "builder/plan/planner.h"

namespace strake::plan {

inline PlanOptions options_for(const std::string& platform = "linux/amd64") {
  PlanOptions options;
  options.build_platform = oci::parse_platform("linux/amd64");
  options.target_platform = oci::parse_platform(platform);
  return options;
}

inline dockerfile::Dockerfile parsed(const std::string& text) {
  return dockerfile::parse(dockerfile::SourceFile("Dockerfile", text));
}

/// An image of one layer, as a registry would have answered.
inline std::pair<const ImageRequest, ResolvedImage> image(
    const std::string& name, oci::RunConfig config = {},
    const std::string& platform = "linux/amd64") {
  const ImageRequest request{oci::parse_reference(name), oci::parse_platform(platform)};
  ResolvedImage resolved;
  resolved.image = request.image;
  resolved.image.digest = base::Digest::of(name + platform);
  resolved.config.platform = request.platform;
  resolved.config.diff_ids = {{base::Digest::of("layer of " + name)}};
  resolved.config.history = {{.created = "2020-01-01T00:00:00Z", .created_by = "base"}};
  resolved.config.config = std::move(config);
  return {request, std::move(resolved)};
}

inline BuildPlan plan_of(const std::string& text, const ResolvedImages& images = {},
                         const PlanOptions& options = options_for()) {
  return make_plan(make_graph(parsed(text), options, images), options, images);
}

}  // namespace strake::plan
