#pragma once

#include <filesystem>
#include <string_view>

#include "registry/registries.h"

namespace strake::registry {

/// What docker's daemon.json says about registries: "registry-mirrors" (URLs of mirrors of
/// docker.io) and "insecure-registries" (hosts and networks). All else in it is left alone.
///
/// Throws Error(invalid_input) naming the file and the line (malformed JSON) or the key.
RegistryRules parse_daemon_config(std::string_view json, const std::filesystem::path& file);

}  // namespace strake::registry
