#include "registry/daemon_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/oci/json.h"
#include "registry/network.h"
#include "registry/url.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

Error key_error(const std::filesystem::path& file, const char* key, const std::string& what) {
  return Error(ErrorCode::invalid_input, file.string() + ": " + base::quoted(key) + ": " + what);
}

nlohmann::json parse(std::string_view text, const std::filesystem::path& file) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    const std::size_t end = std::min<std::size_t>(error.byte, text.size());
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<long>(end), '\n');
    throw Error(ErrorCode::invalid_input,
                file.string() + ":" + std::to_string(line) + ": malformed JSON");
  }
}

std::vector<std::string> strings(const nlohmann::json& document, const char* key,
                                 const std::filesystem::path& file) {
  std::vector<std::string> values;
  const auto found = document.find(key);
  if (found == document.end() || found->is_null()) return values;
  const auto is_string = [](const nlohmann::json& value) { return value.is_string(); };
  if (!found->is_array() || !std::all_of(found->begin(), found->end(), is_string)) {
    throw key_error(file, key, "it must be a list of strings");
  }
  for (const nlohmann::json& value : *found) values.push_back(value.get<std::string>());
  return values;
}

/// A mirror of docker.io as the daemon takes it: a URL without path, and its scheme is meant.
RegistryRule mirror_connection(const std::string& text, const std::filesystem::path& file) {
  try {
    const Url url = parse_url(text);
    if (url.target != "/") throw Error(ErrorCode::invalid_input, "a path does not belong to it");
    // Its own spelling: the port is part of the name a registry has.
    const std::size_t begin = text.find("//") + 2;
    const std::string host = text.substr(begin, text.find('/', begin) - begin);
    return {.scope = parse_registry_scope(host),
            .source = file.string(),
            .connection = {.http = url.origin.scheme == "http"}};
  } catch (const Error& error) {
    throw key_error(file, "registry-mirrors",
                    base::quoted(base::redacted(text)) + " is no URL of a mirror: " + error.what());
  }
}

RegistryScope insecure_scope(const std::string& text, const std::filesystem::path& file) {
  if (Network::parse(text)) return {text, ""};
  try {
    return parse_registry_scope(text);
  } catch (const Error& error) {
    throw key_error(file, "insecure-registries", error.what());
  }
}

}  // namespace

RegistryRules parse_daemon_config(std::string_view json, const std::filesystem::path& file) {
  RegistryRules rules;
  if (json.find_first_not_of(" \t\r\n") == json.npos) return rules;
  const nlohmann::json document = parse(json, file);
  if (!document.is_object()) {
    throw Error(ErrorCode::invalid_input, file.string() + ":1: it is not a JSON object");
  }
  RegistryRule hub{.scope = {"docker.io", ""}, .source = file.string()};
  for (const std::string& url : strings(document, "registry-mirrors", file)) {
    rules.push_back(mirror_connection(url, file));
    if (!hub.mirrors) hub.mirrors.emplace();
    hub.mirrors->push_back({.location = rules.back().scope});
  }
  if (hub.mirrors) rules.push_back(std::move(hub));
  for (const std::string& host : strings(document, "insecure-registries", file)) {
    rules.push_back({.scope = insecure_scope(host, file),
                     .source = file.string(),
                     .connection = {.insecure = true}});
  }
  return rules;
}

}  // namespace strake::registry
