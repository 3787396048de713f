#include "builder/exec/build_checks.h"

#include "builder/check/check.h"
#include "layers/base/log.h"

namespace strake::builder {

void report_build_checks(const dockerfile::Dockerfile& file, const plan::StageGraph& graph,
                         const plan::PlanOptions& options, const plan::ResolvedImages& images) {
  check::CheckOptions wanted;
  wanted.rules = check::RuleSet::docker;
  wanted.build_args = options.build_args;
  wanted.target = options.target;
  wanted.build_platform = options.build_platform;
  wanted.target_platform = options.target_platform;
  wanted.images = &images;
  // Its error, if there is one, is one of planning, which tells it next.
  const check::CheckReport report = check::check_dockerfile(file, graph, wanted);

  const std::size_t count = report.findings.size();
  if (count > 0)
    base::log_warning(std::to_string(count) + (count == 1 ? " warning" : " warnings") +
                      " found (use \"strake check\" to expand):");
  for (const check::Finding& finding : report.findings)
    base::log_warning(" - " + std::string(finding.rule) + ": " + finding.detail + " (line " +
                      std::to_string(finding.where.first_line) + ")");
  if (report.must_fail) throw check::violation(report.findings);
}

}  // namespace strake::builder
