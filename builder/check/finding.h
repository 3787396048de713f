#pragma once

#include <string>
#include <string_view>

#include "layers/base/error.h"

namespace strake::check {

enum class Severity { warning, error };

/// One thing in a Dockerfile that its author should know.
struct Finding {
  std::string_view rule;    // a name of the catalogue (rules.h)
  std::string detail;       // about this place: "Usage of undefined variable '$foo'"
  base::SourceRange where;  // whole instructions, with the file's text for excerpts
  Severity severity = Severity::warning;

  bool operator==(const Finding&) const = default;
};

}  // namespace strake::check
