#include <algorithm>
#include <nlohmann/json.hpp>

#include "layers/oci/image_config.h"

// The text of a config is what the image's ID is computed of. It is put together from members in
// their final order, so that members this version does not know go through as they came.

namespace strake::oci {
namespace {

using nlohmann::json;

/// Values that came from a Dockerfile need not be UTF-8.
std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string object_of(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string text = "{";
  for (const auto& [name, value] : members) {
    if (text.size() > 1) text += ',';
    text += text_of(name) + ':' + value;
  }
  return text + '}';
}

/// Collects the members that are not empty.
class Members {
 public:
  template <typename Container>
  void add(const char* name, const Container& value) {
    if (!value.empty()) list_.emplace_back(name, text_of(json(value)));
  }
  void add(const char* name, const std::optional<std::vector<std::string>>& value) {
    if (value) list_.emplace_back(name, text_of(json(*value)));
  }
  void add(const char* name, const std::set<std::string>& names) {
    json object = json::object();
    for (const std::string& key : names) object[key] = json::object();
    if (!names.empty()) list_.emplace_back(name, text_of(object));
  }
  void add(const char* name, std::int64_t value) {
    if (value != 0) list_.emplace_back(name, std::to_string(value));
  }
  void add_text(const std::string& name, std::string text) {
    list_.emplace_back(name, std::move(text));
  }
  void add_unknown(const std::map<std::string, std::string>& unknown) {
    list_.insert(list_.end(), unknown.begin(), unknown.end());
  }

  void sort() { std::sort(list_.begin(), list_.end()); }
  std::string object() const { return object_of(list_); }

 private:
  std::vector<std::pair<std::string, std::string>> list_;
};

std::string healthcheck_text(const Healthcheck& check) {
  Members members;
  members.add("Test", check.test);
  members.add("Interval", check.interval_ns);
  members.add("Timeout", check.timeout_ns);
  members.add("StartPeriod", check.start_period_ns);
  members.add("StartInterval", check.start_interval_ns);
  members.add("Retries", std::int64_t{check.retries});
  return members.object();
}

std::string run_config_text(const RunConfig& config) {
  Members members;
  members.add("User", config.user);
  members.add("ExposedPorts", config.exposed_ports);
  members.add("Env", config.env);
  members.add("Entrypoint", config.entrypoint);
  members.add("Cmd", config.cmd);
  members.add("Volumes", config.volumes);
  members.add("WorkingDir", config.working_dir);
  members.add("Labels", config.labels);
  members.add("StopSignal", config.stop_signal);
  if (config.healthcheck) members.add_text("Healthcheck", healthcheck_text(*config.healthcheck));
  members.add("OnBuild", config.on_build);
  members.add("Shell", config.shell);
  members.add_unknown(config.unknown);
  return members.object();
}

std::string history_text(const std::vector<History>& history) {
  std::string text = "[";
  for (const History& entry : history) {
    Members members;
    members.add("created", entry.created);
    members.add("created_by", entry.created_by);
    members.add("author", entry.author);
    members.add("comment", entry.comment);
    if (entry.empty_layer) members.add_text("empty_layer", "true");
    if (text.size() > 1) text += ',';
    text += members.object();
  }
  return text + ']';
}

std::string rootfs_text(const std::vector<base::DiffId>& diff_ids) {
  json digests = json::array();
  for (const base::DiffId& diff_id : diff_ids) digests.push_back(diff_id.digest.str());
  return object_of({{"type", "\"layers\""}, {"diff_ids", text_of(digests)}});
}

}  // namespace

std::string to_json(const ImageConfig& config) {
  Members members;
  members.add_text("architecture", text_of(config.platform.architecture));
  members.add("author", config.author);
  members.add_text("config", run_config_text(config.config));
  members.add("created", config.created);
  if (!config.history.empty()) members.add_text("history", history_text(config.history));
  members.add_text("os", text_of(config.platform.os));
  members.add("os.features", config.os_features);
  members.add("os.version", config.platform.os_version);
  members.add_text("rootfs", rootfs_text(config.diff_ids));
  members.add("variant", config.platform.variant);
  members.add_unknown(config.unknown);
  members.sort();
  return members.object();
}

}  // namespace strake::oci
