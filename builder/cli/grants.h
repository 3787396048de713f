#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "builder/cli/arguments.h"
#include "builder/exec/build.h"

namespace strake::cli {

/// Docker's "id=NAME[,src=FILE|,env=VARIABLE][,type=file|env]". Without src and env the id itself
/// names a variable, if there is one, else a file. The value of a variable is taken now; files are
/// not looked at. Throws Error(invalid_input) naming the field, Error(not_found) for a variable
/// that is not set.
builder::SecretSource parse_secret(std::string_view text, const Environment& environment);

/// Docker's "default" or "ID[=SOCKET]"; without a socket SSH_AUTH_SOCK. Throws
/// Error(invalid_input) if that is not set, Error(unsupported) for a key file: keys belong into an
/// agent.
builder::AgentSource parse_agent(std::string_view text, const Environment& environment);

/// "security.insecure", "network.host" (in builds with another network), "device" (all of them) or
/// "device=NAME[,alias=NAME]", several with commas. Throws Error(invalid_input).
void add_entitlements(std::string_view text, builder::Entitlements& allow);

/// Where CDI specs are, "/a:/b": the value of STRAKE_CDI_DIRS. Throws Error(invalid_input) for a
/// path that is not absolute.
std::vector<std::filesystem::path> parse_cdi_directories(std::string_view text);

}  // namespace strake::cli
