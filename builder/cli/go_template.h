#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace strake::cli {

/// The part of Go's templates that people write after --format: text, "{{.Path.To.Field}}",
/// the functions json, join, index, len, upper, lower, println, and pipes between them
/// ("{{.Config.Env | json}}"). "\n" and "\t" in the text are a newline and a tab.
/// Throws Error(invalid_input) for a field that is not there and for everything else of Go's
/// templates (range, if, with, variables).
std::string render_template(std::string_view text, const nlohmann::ordered_json& value);

}  // namespace strake::cli
