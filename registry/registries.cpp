#include "registry/registries.h"

#include <algorithm>
#include <utility>

#include "layers/base/error.h"
#include "registry/network.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  // The colons of an IPv6 literal are inside its brackets.
  return colon == host.npos || host.find(']', colon) != host.npos ? host : host.substr(0, colon);
}

/// As rules write it: docker.io has other names, too.
std::string canonical_host(std::string_view text) {
  std::string host(text);
  std::transform(host.begin(), host.end(), host.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return host == "index.docker.io" || host == "registry-1.docker.io" ? "docker.io" : host;
}

bool host_matches(std::string_view pattern, std::string_view host) {
  if (pattern == host) return true;
  if (pattern.starts_with("*.")) {
    const std::string_view name = without_port(host);
    return name.ends_with(pattern.substr(1)) && name.size() > pattern.size() - 1;
  }
  const std::optional<Network> network = Network::parse(pattern);
  return network && network->contains(without_port(host));
}

/// Of two scopes that contain a repository, the greater rank is the closer one: a host by its name
/// before many, then the longer domain, then the longer path.
std::pair<std::size_t, std::size_t> rank(const RegistryScope& scope) {
  const bool many = scope.is_wildcard() || scope.host.find('/') != scope.host.npos;
  return {many ? scope.host.size() : std::string::npos, scope.path.size()};
}

/// The closest rule of one source for which `applies` holds; null if there is none. Of equals, the
/// later one: as files are read on, they replace what was said before.
template <typename Applies>
const RegistryRule* closest(const RegistryRules& rules, const oci::Repository& repository,
                            Applies applies) {
  const RegistryRule* best = nullptr;
  for (const RegistryRule& rule : rules) {
    if (!applies(rule) || !rule.scope.contains(repository)) continue;
    if (best == nullptr || rank(rule.scope) >= rank(best->scope)) best = &rule;
  }
  return best;
}

const RegistryRule* image_rule(const RegistryRules& rules, const oci::Repository& repository) {
  return closest(rules, repository,
                 [](const RegistryRule& rule) { return rule.is_about_images(); });
}

/// `repository` with what `scope` says of it replaced by `location`.
oci::Repository moved(const oci::Repository& repository, const RegistryScope& scope,
                      const RegistryScope& location) {
  std::string_view rest = std::string_view(repository.path).substr(scope.path.size());
  if (rest.starts_with('/')) rest.remove_prefix(1);
  std::string path = location.path;
  if (!path.empty() && !rest.empty()) path += '/';
  path += rest;
  return {location.host, path};
}

bool is_used(MirrorUse use, bool by_digest) {
  return use == MirrorUse::all || by_digest == (use == MirrorUse::digest_only);
}

}  // namespace

bool RegistryScope::contains(const oci::Repository& repository) const {
  if (!host_matches(host, canonical_host(repository.host))) return false;
  return path.empty() || repository.path == path || repository.path.starts_with(path + "/");
}

RegistryScope parse_registry_scope(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    throw Error(ErrorCode::invalid_input,
                base::quoted(text) + " is not the name of a registry: " + std::string(why));
  };
  if (text.find("://") != text.npos) refuse("a scheme does not belong to it");
  const std::size_t slash = std::min(text.find('/'), text.size());
  RegistryScope scope{canonical_host(text.substr(0, slash)), std::string(text.substr(slash))};
  if (scope.host.empty()) refuse("the host is missing");
  if (scope.is_wildcard()) {
    if (scope.host.size() < 3 || !scope.path.empty()) refuse("a wildcard is written \"*.domain\"");
    if (scope.host.find('*', 1) != scope.host.npos) refuse("it has several wildcards");
    return scope;
  }
  if (text.find_first_of(" \t\r\n@?#*\\\"") != text.npos) refuse("it has characters that none has");
  if (scope.path.empty()) return scope;
  scope.path.erase(0, 1);
  const std::string padded = "/" + scope.path + "/";
  if (padded.find("//") != padded.npos || padded.find("/../") != padded.npos) {
    refuse("a part of its path is missing");
  }
  if (scope.path.find(':') != scope.path.npos) refuse("a tag does not belong to it");
  return scope;
}

RegistryRules insecure_registries(const std::set<std::string>& hosts, const std::string& source) {
  RegistryRules rules;
  for (const std::string& host : hosts) {
    rules.push_back(
        {.scope = parse_registry_scope(host), .source = source, .connection = {.insecure = true}});
  }
  return rules;
}

Connection Registries::connection_of(const oci::Repository& repository) const {
  Connection merged;
  for (const RegistryRules& rules : sources_) {
    const auto deciding = [&](auto decides) {
      return closest(rules, repository,
                     [&](const RegistryRule& rule) { return decides(rule.connection); });
    };
    const auto take = [&](auto property) {
      if (merged.*property) return;
      const RegistryRule* rule =
          deciding([&](const Connection& one) { return (one.*property).has_value(); });
      if (rule != nullptr) merged.*property = rule->connection.*property;
    };
    take(&Connection::insecure);
    take(&Connection::http);
    take(&Connection::streams);
    if (const RegistryRule* rule =
            deciding([](const Connection& one) { return !one.cert_file.empty(); });
        rule != nullptr && merged.cert_file.empty()) {
      merged.cert_file = rule->connection.cert_file;
      merged.key_file = rule->connection.key_file;
    }
    if (const RegistryRule* rule =
            deciding([](const Connection& one) { return !one.ca_files.empty(); })) {
      const std::vector<std::string>& more = rule->connection.ca_files;
      merged.ca_files.insert(merged.ca_files.end(), more.begin(), more.end());
    }
  }
  return merged;
}

std::vector<oci::Repository> Registries::places_of(const oci::Repository& repository,
                                                   bool by_digest) const {
  const RegistryRule* mirrored = nullptr;
  const RegistryRule* located = nullptr;
  for (const RegistryRules& rules : sources_) {
    const RegistryRule* rule = image_rule(rules, repository);
    if (rule == nullptr) continue;
    if (mirrored == nullptr && rule->mirrors) mirrored = rule;
    if (located == nullptr && rule->location) located = rule;
  }
  std::vector<oci::Repository> places;
  if (mirrored != nullptr) {
    for (const Mirror& mirror : *mirrored->mirrors) {
      if (is_used(mirror.use, by_digest)) {
        places.push_back(moved(repository, mirrored->scope, mirror.location));
      }
    }
  }
  places.push_back(located == nullptr ? repository
                                      : moved(repository, located->scope, *located->location));
  return places;
}

void Registries::check_allowed(const oci::Repository& repository) const {
  for (const RegistryRules& rules : sources_) {
    const RegistryRule* rule = image_rule(rules, repository);
    if (rule == nullptr || !rule->blocked) continue;
    if (!*rule->blocked) return;
    const std::string name = repository.path.empty() ? repository.host : repository.str();
    throw Error(ErrorCode::denied, base::quoted(name) + " is blocked: " + rule->source +
                                       " says so of " + base::quoted(rule->scope.str()))
        .hint("use another registry, or ask who wrote that file");
  }
}

}  // namespace strake::registry
