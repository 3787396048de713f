#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "builder/check/finding.h"
#include "builder/dockerfile/ignore_file.h"
#include "builder/dockerfile/instruction.h"
#include "builder/dockerfile/source.h"
#include "builder/plan/stage_graph.h"
#include "layers/oci/platform.h"

namespace strake::check {

enum class RuleSet { docker, all };

/// What is known beside the text. Nothing here is looked up: no file, no registry.
struct CheckOptions {
  RuleSet rules = RuleSet::all;
  std::map<std::string, std::string> build_args;  // BUILDKIT_DOCKERFILE_CHECK replaces "# check="
  std::string target;                             // name or number; "" is the last stage
  bool all_stages = false;                        // also those that the target does not need
  oci::Platform build_platform = oci::host_platform();
  oci::Platform target_platform = oci::host_platform();
  const dockerfile::IgnoreMatcher* ignored = nullptr;  // of the build context; null: not known
  /// Configurations of base images, as far as they are known: variables and a SHELL that an image
  /// brings are not missed then. Null: none is known.
  const plan::ResolvedImages* images = nullptr;
  bool findings_are_errors = false;  // as if "# check=error=true" was given
};

struct CheckReport {
  std::vector<Finding> findings;     // by line, then in the order of the checks
  std::optional<base::Error> error;  // why the Dockerfile cannot be built; findings before it count
  bool must_fail = false;            // there are findings, and "error=true" makes them errors
};

/// Checks a Dockerfile that was parsed, and whose stages are `graph`. Pure. Throws
/// Error(invalid_input) only for a BUILDKIT_DOCKERFILE_CHECK that is not understood.
CheckReport check_dockerfile(const dockerfile::Dockerfile& file, const plan::StageGraph& graph,
                             const CheckOptions& options);

/// The same for a text that may be no Dockerfile: `error` says why not then, and what stands before
/// the place of the error is checked as far as that goes.
CheckReport check_source(const dockerfile::SourceFile& source, const CheckOptions& options);

/// The check InvalidBaseImagePlatform, which needs the image: `image` is the base's name as FROM
/// has it, at `where`. Empty when operating system and architecture are as `expected`.
std::optional<Finding> check_base_platform(std::string_view image, const oci::Platform& expected,
                                           const oci::Platform& actual,
                                           const base::SourceRange& where);

/// "lint violation found for rules: A, B": what a build fails with when a report must_fail.
base::Error violation(const std::vector<Finding>& findings);

}  // namespace strake::check
