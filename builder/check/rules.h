#pragma once

#include <span>
#include <string_view>

// The catalogue: what there is to find, and what it means. It is the only place that says so;
// "strake check --list" and "--explain" print it, SARIF carries it.

namespace strake::check {

enum class Origin {
  docker,  // a build check of docker: same name, same findings, same texts
  strake,
};

struct Rule {
  std::string_view name;         // "JSONArgsRecommended"
  std::string_view description;  // one line, the same for all findings
  std::string_view explanation;  // why it matters and what to do; may have several lines
  std::string_view bad, good;    // Dockerfiles, or parts of them
  Origin origin = Origin::docker;
  bool experimental = false;  // off unless "# check=experimental=NAME" asks for it
};

/// All rules, docker's first, each origin by name.
std::span<const Rule> all_rules();

/// Names are compared as written. Null when there is no such rule.
const Rule* find_rule(std::string_view name);

}  // namespace strake::check
