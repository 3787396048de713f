#include "builder/cli/settings_registries.h"

#include <yaml-cpp/yaml.h>

#include <array>
#include <set>

#include "builder/cli/output_spec.h"

namespace strake::cli {
namespace {

using registry::Mirror;
using registry::MirrorUse;
using registry::RegistryRule;
using registry::RegistryRules;
using registry::RegistryScope;

constexpr std::uint64_t kMostStreams = 100;

/// Calls `set` with the name and value of each entry, `set` returns false for names it does not
/// know.
template <typename Set>
void for_each_entry(const SettingsFile& file, const YAML::Node& map, const std::string& what,
                    std::span<const std::string_view> known, Set set) {
  if (!map.IsMap()) throw file.error(map.Mark(), what + " must be a list of \"name: value\"");
  std::set<std::string> seen;
  for (const auto& entry : map) {
    const std::string name = file.scalar(entry.first, "key");
    if (!seen.insert(name).second)
      throw file.error(entry.first.Mark(), "setting " + base::quoted(name) + " is given twice");
    if (!set(name, entry.second)) throw file.unknown_key(entry.first, known);
  }
}

RegistryScope read_scope(const SettingsFile& file, const YAML::Node& node) {
  try {
    return registry::parse_registry_scope(file.scalar(node, "registries"));
  } catch (const base::Error& error) {
    if (error.location()) throw;
    throw file.error(node.Mark(), error.what());
  }
}

/// The place of images: one registry, not many.
RegistryScope read_location(const SettingsFile& file, const YAML::Node& node) {
  RegistryScope location = read_scope(file, node);
  if (location.is_wildcard()) throw file.error(node.Mark(), "a location has no wildcard");
  return location;
}

std::string read_path(const SettingsFile& file, const YAML::Node& node, std::string_view setting) {
  std::string path = file.scalar(node, setting);
  if (!path.starts_with('/'))
    throw file.error(node.Mark(), "setting " + base::quoted(setting) + " must be an absolute path");
  return path;
}

std::vector<std::string> read_paths(const SettingsFile& file, const YAML::Node& node,
                                    std::string_view setting) {
  if (!node.IsSequence()) return {read_path(file, node, setting)};
  std::vector<std::string> paths;
  for (const YAML::Node& one : node) paths.push_back(read_path(file, one, setting));
  return paths;
}

MirrorUse read_use(const SettingsFile& file, const YAML::Node& node) {
  const std::string word = file.scalar(node, "use");
  if (word == "all") return MirrorUse::all;
  if (word == "digest-only") return MirrorUse::digest_only;
  if (word == "tag-only") return MirrorUse::tag_only;
  throw file.error(node.Mark(), "use " + base::quoted(word) + " of a mirror is not known")
      .hint("use all, digest-only or tag-only");
}

/// A mirror, by its location or as a map; what is said of its connection becomes a rule of its own.
Mirror read_mirror(const SettingsFile& file, const YAML::Node& node, RegistryRules& rules) {
  if (node.IsScalar()) return {.location = read_location(file, node)};
  Mirror mirror;
  RegistryRule connection{.source = file.place(node.Mark())};
  constexpr std::array<std::string_view, 4> kKeys{"location", "use", "http", "insecure"};
  for_each_entry(file, node, "a mirror", kKeys, [&](const std::string& name, const YAML::Node& to) {
    if (name == "location") return mirror.location = read_location(file, to), true;
    if (name == "use") return mirror.use = read_use(file, to), true;
    if (name == "http") return connection.connection.http = file.boolean(to, name), true;
    if (name == "insecure") return connection.connection.insecure = file.boolean(to, name), true;
    return false;
  });
  if (mirror.location.host.empty()) throw file.error(node.Mark(), "a mirror needs a \"location\"");
  connection.scope = mirror.location;
  if (connection.connection != registry::Connection{}) rules.push_back(std::move(connection));
  return mirror;
}

std::vector<Mirror> read_mirrors(const SettingsFile& file, const YAML::Node& node,
                                 RegistryRules& rules) {
  if (!node.IsSequence())
    throw file.error(node.Mark(), "setting \"mirrors\" must be a list")
        .hint("write it as [mirror.local:5000]");
  std::vector<Mirror> mirrors;
  for (const YAML::Node& one : node) mirrors.push_back(read_mirror(file, one, rules));
  return mirrors;
}

int read_streams(const SettingsFile& file, const YAML::Node& node) {
  try {
    return static_cast<int>(
        parse_number(file.scalar(node, "streams"), 1, kMostStreams, "setting \"streams\""));
  } catch (const base::Error& error) {
    if (error.location()) throw;
    throw file.error(node.Mark(), error.what());
  }
}

void read_registry(const SettingsFile& file, const YAML::Node& key, const YAML::Node& value,
                   RegistryRules& rules) {
  RegistryRule rule{.scope = read_scope(file, key), .source = file.place(key.Mark())};
  registry::Connection& connection = rule.connection;
  constexpr std::array<std::string_view, 9> kKeys{
      "mirrors", "http", "insecure", "ca", "cert", "key", "streams", "location", "blocked"};
  const auto set = [&](const std::string& name, const YAML::Node& to) {
    if (name == "mirrors") return rule.mirrors = read_mirrors(file, to, rules), true;
    if (name == "http") return connection.http = file.boolean(to, name), true;
    if (name == "insecure") return connection.insecure = file.boolean(to, name), true;
    if (name == "ca") return connection.ca_files = read_paths(file, to, name), true;
    if (name == "cert") return connection.cert_file = read_path(file, to, name), true;
    if (name == "key") return connection.key_file = read_path(file, to, name), true;
    if (name == "streams") return connection.streams = read_streams(file, to), true;
    if (name == "location") return rule.location = read_location(file, to), true;
    if (name == "blocked") return rule.blocked = file.boolean(to, name), true;
    return false;
  };
  for_each_entry(file, value, "a registry", kKeys, set);
  if (connection.cert_file.empty() != connection.key_file.empty())
    throw file.error(key.Mark(), "settings \"cert\" and \"key\" belong together");
  rules.push_back(std::move(rule));
}

}  // namespace

RegistryRules read_registries(const SettingsFile& file, const YAML::Node& value) {
  if (!value.IsMap())
    throw file.error(value.Mark(), "setting \"registries\" must be a map of registries")
        .hint("write it as \"docker.io: {mirrors: [mirror.local:5000]}\"");
  RegistryRules rules;
  std::set<RegistryScope> seen;
  for (const auto& entry : value) {
    if (!seen.insert(read_scope(file, entry.first)).second)
      throw file.error(entry.first.Mark(),
                       "registry " + base::quoted(entry.first.Scalar()) + " is given twice");
    read_registry(file, entry.first, entry.second, rules);
  }
  return rules;
}

}  // namespace strake::cli
