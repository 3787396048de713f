#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/digest.h"
#include "layers/oci/descriptor.h"

namespace strake::oci {

/// One line of an image's history. Spec: config.md, "history".
struct History {
  std::string created;  // RFC 3339, "" when absent
  std::string created_by;
  std::string author = "";
  std::string comment = "";
  bool empty_layer = false;
  bool operator==(const History&) const = default;
};

/// Durations are nanoseconds, 0 means "inherit". Spec: Docker image spec v1.2, "Healthcheck".
struct Healthcheck {
  std::vector<std::string> test;
  std::int64_t interval_ns = 0, timeout_ns = 0, start_period_ns = 0, start_interval_ns = 0;
  int retries = 0;
  bool operator==(const Healthcheck&) const = default;
};

/// What a container of the image runs as: the "config" object. Spec: config.md, "config".
struct RunConfig {
  std::string user;
  std::set<std::string> exposed_ports;                      // "80/tcp"
  std::vector<std::string> env;                             // "NAME=value", in order
  std::optional<std::vector<std::string>> entrypoint, cmd;  // absent and empty are different
  std::optional<Healthcheck> healthcheck;
  std::set<std::string> volumes;
  std::string working_dir;
  std::vector<std::string> on_build;
  std::map<std::string, std::string> labels;
  std::string stop_signal;
  std::vector<std::string> shell;
  /// Fields this version does not know: name → JSON text, as they came.
  std::map<std::string, std::string> unknown;
  bool operator==(const RunConfig&) const = default;
};

/// Spec: config.md, "Properties".
struct ImageConfig {
  Platform platform;
  std::vector<std::string> os_features;
  std::string created;  // RFC 3339, "" when absent
  std::string author;
  RunConfig config;
  std::vector<base::DiffId> diff_ids;          // bottom layer first
  std::vector<History> history;                // oldest first
  std::map<std::string, std::string> unknown;  // as RunConfig::unknown
  bool operator==(const ImageConfig&) const = default;
};

/// Parses a config document (OCI or Docker). Env entries without "=" or with NUL are dropped with a
/// warning. Throws Error(corrupt) when it is not one, or when history and diff_ids disagree in
/// number beyond what can be made up for (missing history entries are synthesised as empty text).
ImageConfig parse_image_config(std::string_view json);

/// The document's bytes: top-level keys sorted, the keys of "config" in Docker's order, no spaces
/// (what BuildKit writes). Equal values give equal bytes.
std::string to_json(const ImageConfig& config);

}  // namespace strake::oci
