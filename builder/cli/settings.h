#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "builder/cli/arguments.h"
#include "builder/cli/progress.h"
#include "registry/registries.h"

namespace strake::cli {

/// What a user or an administrator decides once for all builds. Absent: not decided.
struct Settings {
  std::optional<std::filesystem::path> root;
  std::set<std::string> insecure_registries;
  std::vector<registry::RegistryRules> registries;  // of one file each, the user's first
  std::optional<std::size_t> jobs;
  std::optional<ProgressMode> progress;
};

/// Parses the YAML of a settings file:
///
///     root: /data/strake
///     insecure-registries: [registry.local:5000]
///     registries:                   # see settings_registries.h
///       docker.io: {mirrors: [mirror.local:5000]}
///     jobs: 4
///     progress: plain
///
/// Throws Error(invalid_input) with the line for malformed YAML, a key that is not known, or a
/// value that cannot be.
Settings parse_settings(const std::string& text, const std::filesystem::path& file);

/// /etc/strake/strake.yaml, and over it $XDG_CONFIG_HOME/strake/strake.yaml (else
/// ~/.config/strake/strake.yaml); registries of both add up. Absent files are fine.
Settings load_settings(const Environment& environment);

/// The store's directory: that of the line or STRAKE_ROOT, else of the settings, else
/// /var/lib/strake for root and $XDG_DATA_HOME/strake (~/.local/share/strake) for others.
/// Throws Error(invalid_input) when there is nothing to go by.
std::filesystem::path store_root(const CommonOptions& common, const Settings& settings,
                                 const Environment& environment, bool is_root);

}  // namespace strake::cli
