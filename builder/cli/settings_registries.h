#pragma once

#include "builder/cli/settings_file.h"
#include "registry/registries.h"

namespace strake::cli {

/// Reads the setting "registries", a map of registries (with a path below them, or "*.domain"):
///
///     registries:
///       docker.io:
///         mirrors:
///           - mirror.example.com/hub
///           - {location: cache.local:5000, http: true, use: digest-only}
///       registry.local:5000:
///         insecure: true           # its certificate is not verified; http if it has no TLS
///         http: true               # http only; false: https only, on this machine too
///         ca: /etc/ssl/corp.pem    # or a list; trusted besides the system's
///         cert: /etc/ssl/me.pem    # client certificate, with key:
///         key: /etc/ssl/me.key
///         streams: 4               # requests at once
///         location: new.example.com/team   # images are pulled from there
///         blocked: true
///
/// Throws Error(invalid_input) with the line for anything else.
registry::RegistryRules read_registries(const SettingsFile& file, const YAML::Node& value);

}  // namespace strake::cli
