#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "layers/oci/reference.h"
#include "registry/credentials.h"

namespace strake::registry {

/// The parts of a docker config.json or containers auth.json that are about credentials. Keys are
/// kept as written.
struct AuthConfig {
  std::map<std::string, Credential> auths;  // without the empty entries that helpers leave
  std::map<std::string, std::string> credential_helpers;  // key → helper
  std::string credentials_store;                          // the helper of all other registries
};

/// Throws Error(invalid_input) naming `subject` when it is malformed.
AuthConfig parse_auth_config(std::string_view json, const std::string& subject);

/// What a key of a config stands for: a registry, and possibly a path below which it holds.
struct AuthKey {
  std::string host, path;
  bool operator==(const AuthKey&) const = default;
};

/// "https://index.docker.io/v1/" → docker.io; "host:5000", "https://host:5000/v2/" → host:5000;
/// "host/team" → host and the path "team".
AuthKey parse_auth_key(std::string_view key);

/// The name a registry has in "auths" and towards helpers: docker.io's is
/// "https://index.docker.io/v1/", any other's is its host.
std::string auth_key_of(const std::string& host);

/// Whether the registry is exactly the same and the repository is at or below the key's path.
bool matches(const AuthKey& key, const oci::Repository& repository);

/// The entry whose key matches `repository` most closely: the longest path wins, then the spelling
/// of auth_key_of. Null if none matches.
template <typename Value>
const Value* best_match(const std::map<std::string, Value>& entries,
                        const oci::Repository& repository) {
  const Value* best = nullptr;
  std::size_t best_rank = 0;
  for (const auto& [text, value] : entries) {
    const AuthKey key = parse_auth_key(text);
    if (!matches(key, repository)) continue;
    const std::size_t rank = 2 * key.path.size() + (text == auth_key_of(repository.host) ? 2 : 1);
    if (rank > best_rank) {
      best = &value;
      best_rank = rank;
    }
  }
  return best;
}

}  // namespace strake::registry
