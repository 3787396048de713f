#include "builder/dockerfile/directives.h"

#include <algorithm>
#include <set>
#include <string>

#include "builder/dockerfile/words.h"

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Directive {
  std::string name;  // lower case
  std::string_view value;
};

/// "# name = value", where the name is a known one.
std::optional<Directive> match_directive(std::string_view line) {
  line = trim(line);
  if (!line.starts_with('#')) return std::nullopt;
  line = trim_left(line.substr(1));
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return std::nullopt;
  Directive directive{to_lower(trim(line.substr(0, equals))), trim(line.substr(equals + 1))};
  const bool known =
      directive.name == "syntax" || directive.name == "escape" || directive.name == "check";
  if (!known || directive.value.empty()) return std::nullopt;
  return directive;
}

char parse_escape(std::string_view value) {
  if (value == "\\" || value == "`") return value[0];
  throw Error(ErrorCode::invalid_input,
              "the escape character " + excerpt(value) + " is not one of ` and \\");
}

bool parse_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return true;
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return false;
  throw Error(ErrorCode::invalid_input, "expected true or false, got " + excerpt(text));
}

void parse_rules(std::string_view value, std::vector<std::string>& rules, bool& all) {
  if (value == "all") {
    all = true;
    return;
  }
  while (true) {
    const std::size_t comma = std::min(value.find(','), value.size());
    rules.emplace_back(trim(value.substr(0, comma)));
    if (comma == value.size()) return;
    value.remove_prefix(comma + 1);
  }
}

void apply(const Directive& directive, const base::SourceRange& where, Directives& out) {
  if (directive.name == "escape") {
    out.escape = parse_escape(directive.value);
  } else if (directive.name == "syntax") {
    out.syntax = directive.value;
    out.syntax_where = where;
  } else {
    out.check = parse_check_settings(directive.value);
    out.check_where = where;
  }
}

}  // namespace

CheckSettings parse_check_settings(std::string_view text) {
  CheckSettings settings;
  text = trim(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(';'), text.size());
    const std::string_view option = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = std::min(option.find('='), option.size());
    const std::string_view key = trim(option.substr(0, equals));
    const std::string_view value = trim(option.substr(std::min(equals + 1, option.size())));
    if (equals < option.size() && key == "skip") {
      parse_rules(value, settings.skip, settings.skip_all);
    } else if (equals < option.size() && key == "experimental") {
      parse_rules(value, settings.experimental, settings.experimental_all);
    } else if (equals < option.size() && key == "error") {
      settings.warnings_are_errors = parse_bool(value);
    } else {
      throw Error(ErrorCode::invalid_input, "invalid check option " + excerpt(option))
          .hint("use skip=<rules>, error=<true|false> or experimental=<rules>, separated by \";\"");
    }
  }
  return settings;
}

DirectiveBlock read_directives(const SourceFile& source) {
  DirectiveBlock block;
  std::string_view text = source.text();
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());

  const auto take_line = [&text] {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
  };
  int line_number = 0;
  const bool has_interpreter = text.starts_with("#!");
  if (has_interpreter) {
    take_line();
    ++line_number;
  }

  std::set<std::string> seen;
  while (!text.empty()) {
    const std::optional<Directive> directive = match_directive(take_line());
    if (!directive) break;
    const base::SourceRange where = source.range(++line_number);
    // To the lines below "#!", the file has begun: they are comments, but tools may look at them.
    if (has_interpreter && directive->name == "escape") break;
    try {
      if (!seen.insert(directive->name).second)
        throw Error(ErrorCode::invalid_input,
                    "only one " + directive->name + " directive can be given");
      apply(*directive, where, block.directives);
    } catch (Error& error) {
      error.set_location(where);
      throw;
    }
    if (!has_interpreter) block.lines = line_number;
  }
  return block;
}

}  // namespace strake::dockerfile
