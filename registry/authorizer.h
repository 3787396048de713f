#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "registry/auth_challenge.h"
#include "registry/retry.h"
#include "registry/token.h"

namespace strake::registry {

/// What a request wants to be allowed to do, and where.
struct AuthTarget {
  Origin origin;               // of the registry's API
  oci::Repository repository;  // path "" for the registry itself
  std::vector<std::string> scopes;
  TlsOptions tls = {};  // for a token server of the same origin
};

/// Answers the challenges of registries: Bearer before Basic. Tokens are kept in memory, one per
/// repository and scopes, and renewed at 90 % of their life; several requests that need the same
/// token fetch it once. Thread-safe.
class Authorizer {
 public:
  Authorizer(HttpTransport& http, const Credentials& credentials,
             std::set<std::string> trusted_realm_hosts, std::function<Clock::time_point()> now);
  ~Authorizer();

  /// The Authorization field to send at first; "" as long as the registry asked for nothing.
  std::string authorization(const AuthTarget& target, std::stop_token stop);

  /// Learns from a 401 to a request that was sent with `used`. The field to try next, nullopt when
  /// there is nothing better than what was refused. Throws Error(denied) when the token server
  /// refuses the credentials or must not be used.
  std::optional<std::string> answer(const AuthTarget& target, const HttpResponse& unauthorized,
                                    const std::string& used, std::stop_token stop);

 private:
  struct Scheme;  // what a registry asked for
  struct Grant;   // the token for a repository and scopes

  std::optional<Scheme> scheme_of(const AuthTarget& target) const;
  std::shared_ptr<Grant> grant_of(const AuthTarget& target);
  std::optional<Scheme> choose(const AuthTarget& target, const HttpResponse& unauthorized) const;
  std::optional<std::string> basic(const AuthTarget& target) const;
  std::string bearer(const AuthTarget& target, const Scheme& scheme, const std::string& refused,
                     std::stop_token stop);
  Token fetch(const AuthTarget& target, const Scheme& scheme,
              const std::vector<std::string>& scopes, const std::optional<Credential>& credential,
              std::stop_token stop);
  void warn_of(const Origin& realm, const Origin& registry);

  HttpTransport& http_;
  const Credentials& credentials_;
  const std::set<std::string> trusted_realm_hosts_;
  const std::function<Clock::time_point()> now_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<Origin, Scheme> schemes_;
  std::set<Origin> warned_of_;
  std::map<std::string, std::shared_ptr<Grant>> grants_;  // shared with requests that wait for them
};

}  // namespace strake::registry
