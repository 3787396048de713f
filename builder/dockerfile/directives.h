#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/dockerfile/source.h"

namespace strake::dockerfile {

/// What `# check=` asks of the build checks. The same text may stand in a comment right above one
/// instruction; then it is about that instruction only.
struct CheckSettings {
  std::vector<std::string> skip;  // rule names, as written
  bool skip_all = false;
  std::vector<std::string> experimental;  // rules to switch on
  bool experimental_all = false;
  bool warnings_are_errors = false;

  bool operator==(const CheckSettings&) const = default;
};

/// The comments at the very top of a Dockerfile that change how it is read.
struct Directives {
  std::string syntax;  // "docker/dockerfile:1"; empty: not given
  char escape = '\\';  // or '`'
  CheckSettings check;
  std::optional<base::SourceRange> syntax_where, check_where;
};

struct DirectiveBlock {
  Directives directives;
  int lines = 0;  // how many of the first lines are directives, not comments
};

/// Reads the directives of `source`, which may start with a byte order mark. They end at the first
/// line that is not a known directive, be it an instruction, a blank line or an ordinary comment.
/// Below a "#!" line only `syntax` and `check` count.
///
/// Throws Error(invalid_input) with the line for a directive given twice or a bad value.
DirectiveBlock read_directives(const SourceFile& source);

/// "skip=RuleA,RuleB;error=true;experimental=all". Throws Error(invalid_input), without a place.
CheckSettings parse_check_settings(std::string_view text);

}  // namespace strake::dockerfile
