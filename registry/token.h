#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "registry/credentials.h"
#include "registry/http.h"
#include "registry/url.h"

namespace strake::registry {

inline constexpr std::size_t kTokenLimitBytes = 1 << 20;
inline constexpr std::chrono::seconds kDefaultTokenLifetime{60};

/// A bearer token of a registry. Spec: distribution, "Token Authentication Specification".
struct Token {
  std::string value;
  std::chrono::seconds lifetime = kDefaultTokenLifetime;
};

/// The "token" or "access_token" of a token server's answer. Throws Error(corrupt).
Token parse_token(std::string_view json);

struct TokenRequest {
  Url realm;
  std::string service;
  std::vector<std::string> scopes;  // "repository:team/app:pull,push"
};

/// Asks the realm for a token: with an identity token by OAuth2 (POST), else by GET and, where the
/// server does not know that, by POST. Throws Error(denied) when the credential is refused,
/// Error(unavailable) when asking again may help.
Token fetch_token(HttpTransport& http, const TokenRequest& request,
                  const std::optional<Credential>& credential, const TlsOptions& tls,
                  std::stop_token stop);

enum class RealmTrust {
  credentials,  // belongs to the registry: may see who the user is
  anonymous,    // may be asked for an anonymous token only
};

/// Whether the token server `realm`, as named by the registry at `registry`, may be used, and with
/// what. It must be https unless the registry itself is spoken to in plain http, and must not point
/// into a private network that the registry is not in. It gets credentials if it is the registry's
/// host, of the same registrable domain, docker.io's known one, or one of `trusted_hosts`.
/// Throws Error(denied).
RealmTrust check_realm(const Url& realm, const Origin& registry,
                       const std::set<std::string>& trusted_hosts);

/// Both lists of scopes as one, actions of the same resource joined; those of `first` first, since
/// some registries read only one.
std::vector<std::string> merge_scopes(const std::vector<std::string>& first,
                                      const std::vector<std::string>& second);
/// The scopes of a challenge's space-separated "scope" parameter.
std::vector<std::string> split_scopes(std::string_view scopes);

}  // namespace strake::registry
