#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "registry/registries.h"

namespace strake::registry {

/// The value of an environment variable.
using Variables = std::function<std::optional<std::string>(const std::string& name)>;

/// The files of registries.conf in the order they are read, those that exist: that of
/// CONTAINERS_REGISTRIES_CONF, else the user's, else `etc`'s; then the drop-ins of
/// CONTAINERS_REGISTRIES_CONF_DIR, else of `etc` (unless the user's file was taken) and the user.
/// Spec: containers-registries.conf.d(5).
std::vector<std::filesystem::path> registries_conf_files(const Variables& variables,
                                                         const std::filesystem::path& etc);

/// Adds what other tools' files say: registries.conf, then docker's daemon.json. They are not ours:
/// one that is malformed or cannot be read is warned of and left out.
void add_system_sources(Registries& registries, const Variables& variables,
                        const std::filesystem::path& etc = "/etc");

/// Where certificates of registries are looked for: certs.d of docker and containers, in `etc` and
/// in the user's configuration.
std::vector<std::string> certificate_directories(const Variables& variables,
                                                 const std::filesystem::path& etc = "/etc");

}  // namespace strake::registry
