#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "builder/cli/arguments.h"
#include "builder/exec/image_run.h"

namespace strake::cli {

/// Docker's -v: "HOST:TARGET[:OPTION,…]", or "TARGET" for a directory of the thin layer. HOST is a
/// path: absolute, or beginning with "." or "..". Throws Error(invalid_input) for anything else,
/// Error(unsupported) for a volume's name.
builder::Volume parse_volume(std::string_view text);

/// Docker's --mount: "type=bind,source=…,target=…[,readonly]", "type=tmpfs,target=…[,tmpfs-size=…,
/// tmpfs-mode=…]", "type=volume,target=…". Throws the same.
builder::Volume parse_mount(std::string_view text);

/// Docker's --tmpfs: "TARGET[:OPTION,…]" with rw, ro, exec, noexec, size=, mode= and what holds
/// anyway (nosuid, nodev). Throws Error(invalid_input).
builder::Volume parse_tmpfs(std::string_view text);

/// Docker's -e: "NAME=VALUE", or "NAME" for the value in `environment`; where that has none, "NAME"
/// stays, which takes the variable away. Throws Error(invalid_input) for an empty name.
std::string parse_variable(std::string_view text, const Environment& environment);

/// Docker's --env-file: a variable a line, as parse_variable takes them; lines that are empty or
/// begin with "#" count for nothing. `file` is for messages. Throws Error(invalid_input) with the
/// line.
std::vector<std::string> parse_env_file(std::string_view content, const std::string& file,
                                        const Environment& environment);

}  // namespace strake::cli
