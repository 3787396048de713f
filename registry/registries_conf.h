#pragma once

#include <filesystem>
#include <string_view>

#include "registry/registries.h"

namespace strake::registry {

/// Parses a registries.conf of version 2: of each [[registry]] table prefix, location, insecure,
/// blocked, mirror-by-digest-only, and of its [[registry.mirror]] tables location, insecure,
/// pull-from-mirror. The search for unqualified names and aliases are not used: a name without a
/// registry is docker.io's. Keys that are not known are left alone, as their own tools do.
///
/// Throws Error(invalid_input) with the line for malformed TOML, values of a wrong type or form,
/// and files of version 1. Spec: containers-registries.conf(5).
RegistryRules parse_registries_conf(std::string_view toml, const std::filesystem::path& file);

}  // namespace strake::registry
