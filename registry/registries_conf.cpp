#include "registry/registries_conf.h"

#include <toml++/toml.h>

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// Reads values of a file, with errors that point to them.
class ConfFile {
 public:
  explicit ConfFile(const std::filesystem::path& file) : file_(file.string()) {}

  std::string place(const toml::source_region& where) const {
    return file_ + ":" + std::to_string(where.begin.line);
  }
  Error error(const toml::source_region& where, const std::string& what) const {
    return Error(ErrorCode::invalid_input, place(where) + ": " + what);
  }

  /// The value of `key`; nullopt when it is absent.
  template <typename Value>
  std::optional<Value> value(const toml::table& table, std::string_view key) const {
    const toml::node* node = table.get(key);
    if (node == nullptr) return std::nullopt;
    std::optional<Value> value = node->value_exact<Value>();
    if (!value) {
      throw error(node->source(), base::quoted(key) + " must be a " +
                                      (std::is_same_v<Value, bool> ? "truth value" : "string"));
    }
    return value;
  }

  /// "" counts as absent: the format has it so.
  std::optional<RegistryScope> scope(const toml::table& table, std::string_view key) const {
    const std::optional<std::string> text = value<std::string>(table, key);
    if (!text || text->empty()) return std::nullopt;
    try {
      return parse_registry_scope(*text);
    } catch (const Error& error) {
      throw this->error(table.get(key)->source(), error.what());
    }
  }

  /// The tables of the array `key`; none when it is absent.
  std::vector<const toml::table*> tables(const toml::table& table, std::string_view key) const {
    std::vector<const toml::table*> found;
    const toml::node* node = table.get(key);
    if (node == nullptr) return found;
    const toml::array* array = node->as_array();
    if (array == nullptr) throw error(node->source(), base::quoted(key) + " must be [[tables]]");
    for (const toml::node& element : *array) {
      if (!element.is_table()) {
        throw error(element.source(), base::quoted(key) + " must be [[tables]]");
      }
      found.push_back(element.as_table());
    }
    return found;
  }

 private:
  std::string file_;
};

/// A rule about how `location` is spoken to, if the table says anything about that.
void add_connection(RegistryRules& rules, const ConfFile& file, const toml::table& table,
                    const RegistryScope& location) {
  const std::optional<bool> insecure = file.value<bool>(table, "insecure");
  if (!insecure) return;
  rules.push_back({.scope = location,
                   .source = file.place(table.source()),
                   .connection = {.insecure = insecure}});
}

MirrorUse mirror_use(const ConfFile& file, const toml::table& table, bool by_digest_only) {
  const std::string word = file.value<std::string>(table, "pull-from-mirror").value_or("");
  if (by_digest_only && !word.empty()) {
    throw file.error(table.source(),
                     "\"pull-from-mirror\" has no place beside \"mirror-by-digest-only\"");
  }
  if (by_digest_only || word == "digest-only") return MirrorUse::digest_only;
  if (word == "tag-only") return MirrorUse::tag_only;
  if (word.empty() || word == "all") return MirrorUse::all;
  throw file.error(table.source(), "\"pull-from-mirror\" must be all, digest-only or tag-only");
}

std::vector<Mirror> read_mirrors(RegistryRules& rules, const ConfFile& file,
                                 const toml::table& table) {
  const bool by_digest_only = file.value<bool>(table, "mirror-by-digest-only").value_or(false);
  std::vector<Mirror> mirrors;
  for (const toml::table* mirror : file.tables(table, "mirror")) {
    const std::optional<RegistryScope> location = file.scope(*mirror, "location");
    if (!location) throw file.error(mirror->source(), "a mirror needs a \"location\"");
    if (location->is_wildcard()) {
      throw file.error(mirror->source(), "the \"location\" of a mirror is one registry");
    }
    add_connection(rules, file, *mirror, *location);
    mirrors.push_back({*location, mirror_use(file, *mirror, by_digest_only)});
  }
  return mirrors;
}

void read_registry(RegistryRules& rules, const ConfFile& file, const toml::table& table) {
  const std::optional<RegistryScope> location = file.scope(table, "location");
  const std::optional<RegistryScope> prefix = file.scope(table, "prefix");
  if (!location && !(prefix && prefix->is_wildcard())) {
    throw file.error(table.source(), "a registry needs a \"location\"");
  }
  if (location && location->is_wildcard()) {
    throw file.error(table.source(),
                     "the \"location\" of a registry has no wildcard: "
                     "that is for \"prefix\"");
  }
  RegistryRule rule{.scope = prefix ? *prefix : *location, .source = file.place(table.source())};
  // A table says all there is about its images: what a shorter prefix says does not hold for them.
  rule.blocked = file.value<bool>(table, "blocked").value_or(false);
  if (std::vector<Mirror> mirrors = read_mirrors(rules, file, table); !mirrors.empty()) {
    rule.mirrors = std::move(mirrors);
  }
  if (location && *location != rule.scope) rule.location = location;
  add_connection(rules, file, table, location ? *location : rule.scope);
  rules.push_back(std::move(rule));
}

/// Version 1 had [registries.search], [registries.insecure] and [registries.block].
void refuse_version_1(const ConfFile& file, const toml::table& document) {
  const toml::node* registries = document.get("registries");
  if (registries == nullptr) return;
  throw file.error(registries->source(), "this is version 1 of the format, which is not supported")
      .hint("write it as [[registry]] tables: see containers-registries.conf(5)");
}

}  // namespace

RegistryRules parse_registries_conf(std::string_view text, const std::filesystem::path& path) {
  const ConfFile file(path);
  toml::table document;
  try {
    document = toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw file.error(error.source(), "malformed TOML: " + std::string(error.description()));
  }
  refuse_version_1(file, document);
  for (const char* key : {"unqualified-search-registries", "aliases", "short-name-mode"}) {
    if (const toml::node* node = document.get(key)) {
      base::log_debug(file.place(node->source()) + ": " + base::quoted(key) +
                      " is not used: a name without a registry is docker.io's");
    }
  }
  RegistryRules rules;
  for (const toml::table* table : file.tables(document, "registry")) {
    read_registry(rules, file, *table);
  }
  return rules;
}

}  // namespace strake::registry
