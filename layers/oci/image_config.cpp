#include <array>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/oci/image_config.h"
#include "layers/oci/json.h"
#include "layers/oci/raw_json.h"

namespace strake::oci {
namespace {

using base::Error;
using base::ErrorCode;
using nlohmann::json;

constexpr std::size_t kLargestDocument = 8 << 20;

constexpr std::array kImageKeys = {"architecture", "author", "config", "created",
                                   "history",      "os",     "rootfs", "os.version",
                                   "os.features",  "variant"};
constexpr std::array kRunKeys = {"User",    "ExposedPorts", "Env",         "Entrypoint",
                                 "Cmd",     "Volumes",      "WorkingDir",  "Labels",
                                 "OnBuild", "StopSignal",   "Healthcheck", "Shell"};

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::corrupt, what);
}

const json* find_member(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

using RawMembers = std::map<std::string, std::string>;

template <typename Keys>
RawMembers without(RawMembers members, const Keys& known) {
  for (const char* key : known) members.erase(key);
  return members;
}

std::optional<std::vector<std::string>> optional_strings(const json& object, const char* key) {
  if (find_member(object, key) == nullptr) return std::nullopt;
  return strings_member(object, key);
}

/// {"80/tcp": {}}: Go's way to write a set.
std::set<std::string> set_member(const json& object, const char* key) {
  std::set<std::string> names;
  const json* value = find_member(object, key);
  if (value == nullptr) return names;
  if (!value->is_object()) refuse(base::quoted(key) + " is not an object");
  for (const auto& [name, unused] : value->items()) {
    if (name.find('\0') != std::string::npos) refuse(base::quoted(key) + " holds a NUL character");
    names.insert(name);
  }
  return names;
}

/// An entry that is no assignment would have to be looked up somewhere (CVE-2026-57231: in the
/// environment of the builder). It is nothing a process can be given.
std::vector<std::string> parse_env(const json& object) {
  std::vector<std::string> env;
  const json* value = find_member(object, "Env");
  if (value == nullptr) return env;
  if (!value->is_array()) refuse("\"Env\" is not an array");
  for (const json& entry : *value) {
    if (!entry.is_string()) refuse("\"Env\" has an entry that is not a string");
    const auto& text = entry.get_ref<const std::string&>();
    const std::size_t equals = text.find('=');
    const bool usable =
        equals != std::string::npos && equals > 0 && text.find('\0') == std::string::npos;
    if (usable) {
      env.push_back(text);
    } else {
      base::log_warning("ignoring " + base::quoted(text.substr(0, 100)) +
                        " in the environment of an image: not NAME=value");
    }
  }
  return env;
}

std::int64_t duration_member(const json& object, const char* key) {
  const std::int64_t value = integer_member(object, key);
  if (value < 0) refuse(base::quoted(key) + " is negative");
  return value;
}

std::optional<Healthcheck> parse_healthcheck(const json& config) {
  const json* value = find_member(config, "Healthcheck");
  if (value == nullptr) return std::nullopt;
  const std::int64_t retries = duration_member(*value, "Retries");
  if (retries > INT32_MAX) refuse("\"Retries\" is too large");
  return Healthcheck{.test = strings_member(*value, "Test"),
                     .interval_ns = duration_member(*value, "Interval"),
                     .timeout_ns = duration_member(*value, "Timeout"),
                     .start_period_ns = duration_member(*value, "StartPeriod"),
                     .start_interval_ns = duration_member(*value, "StartInterval"),
                     .retries = static_cast<int>(retries)};
}

RunConfig parse_run_config(const json& object, std::string_view raw) {
  if (!object.is_object()) refuse("\"config\" is not an object");
  RunConfig config;
  config.user = string_member(object, "User");
  config.exposed_ports = set_member(object, "ExposedPorts");
  config.env = parse_env(object);
  config.entrypoint = optional_strings(object, "Entrypoint");
  config.cmd = optional_strings(object, "Cmd");
  config.healthcheck = parse_healthcheck(object);
  config.volumes = set_member(object, "Volumes");
  config.working_dir = string_member(object, "WorkingDir");
  config.on_build = strings_member(object, "OnBuild");
  config.labels = string_map_member(object, "Labels");
  config.stop_signal = string_member(object, "StopSignal");
  config.shell = strings_member(object, "Shell");
  config.unknown = without(raw_members(raw), kRunKeys);
  return config;
}

std::vector<base::DiffId> parse_diff_ids(const json& document) {
  const json* rootfs = find_member(document, "rootfs");
  if (rootfs == nullptr) refuse("there is no \"rootfs\"");
  const std::string type = string_member(*rootfs, "type");
  if (!type.empty() && type != "layers") refuse("\"rootfs\" has the type " + base::quoted(type));
  std::vector<base::DiffId> diff_ids;
  for (const std::string& text : strings_member(*rootfs, "diff_ids")) {
    try {
      diff_ids.push_back({base::Digest::parse(text)});
    } catch (const Error& error) {
      refuse(std::string("\"diff_ids\": ") + error.what());
    }
  }
  return diff_ids;
}

std::vector<History> parse_history(const json& document) {
  std::vector<History> history;
  const json* value = find_member(document, "history");
  if (value == nullptr) return history;
  if (!value->is_array()) refuse("\"history\" is not an array");
  for (const json& entry : *value)
    history.push_back({.created = string_member(entry, "created"),
                       .created_by = string_member(entry, "created_by"),
                       .author = string_member(entry, "author"),
                       .comment = string_member(entry, "comment"),
                       .empty_layer = bool_member(entry, "empty_layer")});
  return history;
}

/// Every layer gets a history entry, as config.md wants it.
void complete_history(ImageConfig& config) {
  std::size_t layers = 0;
  for (const History& entry : config.history) layers += entry.empty_layer ? 0 : 1;
  if (layers > config.diff_ids.size())
    refuse("the history tells of " + std::to_string(layers) + " layers, \"diff_ids\" has " +
           std::to_string(config.diff_ids.size()));
  config.history.resize(config.history.size() + (config.diff_ids.size() - layers));
}

ImageConfig parse_document(std::string_view text) {
  if (text.size() > kLargestDocument)
    refuse("it has " + std::to_string(text.size()) + " bytes, the limit is " +
           std::to_string(kLargestDocument));
  const json document = parse_json(text, "the document");
  if (!document.is_object()) refuse("it is not a JSON object");
  ImageConfig config;
  config.platform = parse_platform_object(document);
  config.os_features = strings_member(document, "os.features");
  config.created = string_member(document, "created");
  config.author = string_member(document, "author");
  config.diff_ids = parse_diff_ids(document);
  config.history = parse_history(document);
  complete_history(config);
  RawMembers raw = raw_members(text);
  if (const json* run = find_member(document, "config"))
    config.config = parse_run_config(*run, raw.at("config"));
  config.unknown = without(std::move(raw), kImageKeys);
  return config;
}

}  // namespace

ImageConfig parse_image_config(std::string_view text) {
  try {
    return parse_document(text);
  } catch (Error& error) {
    error.add_context("reading an image config");
    throw;
  }
}

}  // namespace strake::oci
