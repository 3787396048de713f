#include "registry/authorizer.h"

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/base64.h"

namespace strake::registry {
namespace {

/// A token for more than this was asked for by challenges that never end.
constexpr std::size_t kMostScopes = 32;

}  // namespace

struct Authorizer::Scheme {
  enum class Kind { basic, bearer };
  Kind kind = Kind::basic;
  Url realm = {};
  std::string service = "";
  RealmTrust trust = RealmTrust::anonymous;
  std::vector<std::string> scopes = {};  // of this challenge; not remembered for others
};

struct Authorizer::Grant {
  std::mutex mutex;  // held while the token is fetched: whoever needs the same waits for it
  std::string field;
  Clock::time_point renew_at;
  std::vector<std::string> scopes;  // wanted, and what challenges asked for besides
};

Authorizer::Authorizer(HttpTransport& http, const Credentials& credentials,
                       std::set<std::string> trusted_realm_hosts,
                       std::function<Clock::time_point()> now)
    : http_(http),
      credentials_(credentials),
      trusted_realm_hosts_(std::move(trusted_realm_hosts)),
      now_(std::move(now)) {}
Authorizer::~Authorizer() = default;

std::string Authorizer::authorization(const AuthTarget& target, std::stop_token stop) {
  const std::optional<Scheme> scheme = scheme_of(target);
  if (!scheme) return "";
  if (scheme->kind == Scheme::Kind::basic) return basic(target).value_or("");
  return bearer(target, *scheme, "", std::move(stop));
}

std::optional<std::string> Authorizer::answer(const AuthTarget& target,
                                              const HttpResponse& unauthorized,
                                              const std::string& used, std::stop_token stop) {
  std::optional<Scheme> scheme = choose(target, unauthorized);
  // What stands between may refuse without a word: what the registry asked for before holds on.
  if (!scheme) scheme = scheme_of(target);
  if (!scheme) return std::nullopt;
  {
    const std::lock_guard lock(mutex_);
    schemes_.insert_or_assign(target.origin, *scheme);
    schemes_.at(target.origin).scopes.clear();
  }
  if (scheme->kind == Scheme::Kind::bearer) return bearer(target, *scheme, used, std::move(stop));
  std::optional<std::string> field = basic(target);
  if (field == used) return std::nullopt;
  return field;
}

std::optional<Authorizer::Scheme> Authorizer::scheme_of(const AuthTarget& target) const {
  const std::lock_guard lock(mutex_);
  const auto found = schemes_.find(target.origin);
  return found == schemes_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Authorizer::Scheme> Authorizer::choose(const AuthTarget& target,
                                                     const HttpResponse& unauthorized) const {
  std::optional<Scheme> basic;
  for (const std::string_view field : unauthorized.headers.all("WWW-Authenticate")) {
    for (const AuthChallenge& challenge : parse_challenges(field)) {
      if (challenge.scheme == "basic") basic = Scheme{};
      if (challenge.scheme != "bearer" || challenge.parameter("realm").empty()) continue;
      Scheme scheme{Scheme::Kind::bearer};
      scheme.realm = parse_url(challenge.parameter("realm"));
      scheme.service = challenge.parameter("service");
      scheme.trust = check_realm(scheme.realm, target.origin, trusted_realm_hosts_);
      scheme.scopes = split_scopes(challenge.parameter("scope"));
      return scheme;
    }
  }
  return basic;
}

std::optional<std::string> Authorizer::basic(const AuthTarget& target) const {
  const std::optional<Credential> credential = credentials_.find(target.repository);
  if (!credential || credential->username.empty()) return std::nullopt;
  if (!credential->identity_token.empty()) return std::nullopt;  // is for token servers only
  std::string secret = base64_encoded(credential->username + ":" + credential->password);
  return "Basic " + std::move(secret);
}

std::shared_ptr<Authorizer::Grant> Authorizer::grant_of(const AuthTarget& target) {
  std::string key = target.origin.str() + " " + target.repository.path;
  for (const std::string& scope : target.scopes) key += " " + scope;
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Grant>& grant = grants_[key];
  if (!grant) {
    grant = std::make_shared<Grant>();
    grant->scopes = target.scopes;
  }
  return grant;
}

std::string Authorizer::bearer(const AuthTarget& target, const Scheme& scheme,
                               const std::string& refused, std::stop_token stop) {
  const std::shared_ptr<Grant> grant = grant_of(target);
  const std::lock_guard lock(grant->mutex);
  const bool fresh = !grant->field.empty() && now_() < grant->renew_at;
  if (fresh && grant->field != refused) return grant->field;

  std::optional<Credential> credential = credentials_.find(target.repository);
  if (credential && !credential->registry_token.empty()) {
    grant->field = "Bearer " + credential->registry_token;
    grant->renew_at = Clock::time_point::max();
    return grant->field;
  }
  if (credential && scheme.trust == RealmTrust::anonymous) {
    warn_of(scheme.realm.origin, target.origin);
    credential.reset();
  }
  // What the challenge asks for goes first: some registries read only the first scope.
  std::vector<std::string> scopes = merge_scopes(scheme.scopes, grant->scopes);
  if (scopes.size() <= kMostScopes) grant->scopes = std::move(scopes);
  const Token token = fetch(target, scheme, grant->scopes, credential, std::move(stop));
  grant->field = "Bearer " + token.value;
  grant->renew_at = now_() + std::chrono::milliseconds(token.lifetime) * 9 / 10;
  return grant->field;
}

Token Authorizer::fetch(const AuthTarget& target, const Scheme& scheme,
                        const std::vector<std::string>& scopes,
                        const std::optional<Credential>& credential, std::stop_token stop) {
  TlsOptions tls;
  if (scheme.realm.origin.host == target.origin.host) tls = target.tls;
  if (scheme.realm.origin != target.origin) tls.cert_file = tls.key_file = "";
  try {
    return fetch_token(http_, {scheme.realm, scheme.service, scopes}, credential, tls,
                       std::move(stop));
  } catch (base::Error& e) {
    const std::string& host = target.repository.host;
    if (e.code() == base::ErrorCode::denied) {
      e.set_hint(credential ? "log in again, what is stored for it is refused: strake login " + host
                            : "log in: strake login " + host);
    }
    throw;
  }
}

void Authorizer::warn_of(const Origin& realm, const Origin& registry) {
  {
    const std::lock_guard lock(mutex_);
    if (!warned_of_.insert(realm).second) return;
  }
  base::log_warning("registry " + base::quoted(registry.host) + " names " +
                    base::quoted(realm.host) +
                    " as its token server, which is not known to belong to it: asking it for an "
                    "anonymous token");
}

}  // namespace strake::registry
