#pragma once

#include <string>
#include <vector>

#include "builder/check/check.h"

namespace strake::check {

inline CheckOptions all_stages() {
  CheckOptions options;
  options.all_stages = true;
  options.build_platform = options.target_platform = {"linux", "amd64", ""};
  return options;
}

inline CheckReport report(const std::string& text, const CheckOptions& options = all_stages()) {
  return check_source({"Dockerfile", text}, options);
}

/// "line: Rule: detail", and "error: …" at the end if the text is no Dockerfile.
inline std::vector<std::string> lines_of(const CheckReport& report) {
  std::vector<std::string> lines;
  for (const Finding& finding : report.findings)
    lines.push_back(std::to_string(finding.where.first_line) + ": " + std::string(finding.rule) +
                    ": " + finding.detail);
  if (report.error) lines.push_back("error: " + std::string(report.error->what()));
  return lines;
}

/// What docker's rules find.
inline std::vector<std::string> docker(const std::string& text,
                                       CheckOptions options = all_stages()) {
  options.rules = RuleSet::docker;
  return lines_of(report(text, options));
}

/// Lines at which `rule` finds something.
inline std::vector<int> hits(std::string_view rule, const std::string& text,
                             const CheckOptions& options = all_stages()) {
  std::vector<int> lines;
  const CheckReport found = report(text, options);
  for (const Finding& finding : found.findings)
    if (finding.rule == rule) lines.push_back(finding.where.first_line);
  if (found.error) lines.push_back(-1);
  return lines;
}

/// The detail of the first finding of `rule`; "" if there is none.
inline std::string detail(std::string_view rule, const std::string& text) {
  for (const Finding& finding : report(text).findings)
    if (finding.rule == rule) return finding.detail;
  return "";
}

}  // namespace strake::check
