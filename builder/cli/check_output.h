#pragma once

#include <string>

#include "builder/check/check.h"
#include "builder/check/rules.h"
#include "builder/cli/diagnostics.h"

// What "strake check" prints: for people, for scripts, for code hosts. All end with a newline.

namespace strake::cli {

/// Each finding with its lines of the Dockerfile, then a summary. An error is not part of it.
std::string check_text(const check::CheckReport& report, Colour colour);

/// {"file", "findings": [{"rule", "severity", "detail", "description", "origin", "file", "lines"}],
/// "error": null or {"message", "lines"}}. "lines" are all lines of the instruction; "file" is the
/// Dockerfile as the user named it. Fields may be added, none changes its meaning.
std::string check_json(const check::CheckReport& report, const std::string& file);

/// SARIF 2.1.0 with one run. `uri` is the Dockerfile's path relative to the repository.
std::string check_sarif(const check::CheckReport& report, const std::string& uri);

/// One rule, with its reason and an example.
std::string explain_rule(const check::Rule& rule, Colour colour);

/// Name and description of every rule.
std::string list_rules(Colour colour);

}  // namespace strake::cli
