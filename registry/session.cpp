#include "registry/session.h"

#include <algorithm>
#include <atomic>
#include <set>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/certificates.h"
#include "registry/rate_limit.h"
#include "registry/registry_error.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

constexpr int kLongestRedirectChain = 5;
constexpr int kAuthorizationRounds = 2;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// docker.io is a name; its API is elsewhere.
std::string api_host(const std::string& host) {
  return host == "docker.io" || host == "index.docker.io" ? "registry-1.docker.io" : host;
}

/// One more attempt, soon: another place has the same.
RetryPolicy little_patience(RetryPolicy policy) {
  policy.attempts = std::min(policy.attempts, 2);
  policy.longest_retry_after = std::chrono::seconds(0);
  return policy;
}

RetryPolicy great_patience(RetryPolicy policy) {
  policy.attempts = std::max(policy.attempts, policy.attempts_once_reached);
  return policy;
}

/// Whether two origins differ in nothing but http for https: what registries behind a proxy that
/// ends TLS name as their own URL.
bool is_own_without_tls(const Origin& origin, const Origin& other) {
  return origin.scheme == "https" && other.scheme == "http" && origin.host == other.host &&
         (origin.port == other.port || (origin.port == 443 && other.port == 80));
}

}  // namespace

struct Session::Registry {
  std::string host;  // as in references
  Connection connection;
  Origin origin;  // valid once connected
  CaBundle ca;
  TlsOptions tls;
  std::mutex mutex;  // held while the scheme is found out
  std::atomic<bool> connected = false;
  std::atomic<bool> limit_told = false;
  StreamLimit streams;
  /// Paths and scopes of requests that succeeded; guarded by the session's mutex.
  std::set<std::pair<std::string, std::vector<std::string>>> admitted;

  Registry(std::string name, Connection how, int limit)
      : host(std::move(name)), connection(std::move(how)), streams(limit) {}

  bool insecure() const { return connection.insecure.value_or(false); }
};

std::string scope_of(const oci::Repository& repository, Access access) {
  return "repository:" + repository.path + (access == Access::push ? ":pull,push" : ":pull");
}

Session::Session(HttpTransport& http, const Credentials& credentials, ClientOptions options)
    : http_(http),
      options_(std::move(options)),
      impatient_(little_patience(options_.retry)),
      steadfast_(great_patience(options_.retry)),
      authorizer_(http, credentials, options_.trusted_realm_hosts, options_.environment.now),
      mirrors_(options_.environment.now) {}
Session::~Session() = default;

const Registries& Session::registries() {
  std::call_once(registries_read_, [this] {
    all_registries_ = options_.registries;
    if (options_.add_registries) options_.add_registries(all_registries_);
  });
  return all_registries_;
}

PlacesToTry Session::places(const oci::Repository& repository, bool by_digest) {
  registries().check_allowed(repository);
  return {registries().places_of(repository, by_digest), mirrors_};
}

Session::Registry& Session::registry_of(const oci::Repository& repository) {
  const std::lock_guard lock(mutex_);
  Registry*& known = known_[repository];
  if (known != nullptr) return *known;
  registries().check_allowed(repository);
  Connection connection = registries().connection_of(repository);
  for (const auto& registry : registries_) {
    if (registry->host == repository.host && registry->connection == connection) {
      return *(known = registry.get());
    }
  }
  const int streams = connection.streams.value_or(options_.streams_per_registry);
  registries_.push_back(
      std::make_unique<Registry>(repository.host, std::move(connection), streams));
  return *(known = registries_.back().get());
}

void Session::connect(Registry& registry, std::stop_token stop) {
  if (registry.connected) return;
  const std::lock_guard lock(registry.mutex);
  if (registry.connected) return;
  registry.origin = registry_origin(api_host(registry.host), "https");
  load_certificates(registry);
  const std::optional<bool> http = registry.connection.http;
  if (http) {
    registry.origin = registry_origin(api_host(registry.host), *http ? "http" : "https");
  } else if (registry.insecure() || is_loopback(registry.origin.host)) {
    probe(registry, std::move(stop));
  }
  registry.connected = true;
}

/// What was configured for the registry, and what lies in directories of its name.
void Session::load_certificates(Registry& registry) {
  const Connection& connection = registry.connection;
  const std::vector<std::string>& directories = options_.certificate_directories;
  Certificates found = find_certificates(registry.host, directories);
  if (const std::string host = api_host(registry.host); host != registry.host) {
    const Certificates more = find_certificates(host, directories);
    found.ca_files.insert(found.ca_files.end(), more.ca_files.begin(), more.ca_files.end());
    if (found.cert_file.empty()) {
      found.cert_file = more.cert_file;
      found.key_file = more.key_file;
    }
  }
  found.ca_files.insert(found.ca_files.begin(), connection.ca_files.begin(),
                        connection.ca_files.end());
  registry.ca = CaBundle(found.ca_files);
  const bool configured = !connection.cert_file.empty();
  registry.tls = {.verify = !registry.insecure(),
                  .ca_file = registry.ca.path(),
                  .cert_file = configured ? connection.cert_file : found.cert_file,
                  .key_file = configured ? connection.key_file : found.key_file};
}

/// Plain http is for registries of this machine, which rarely have TLS, and for those the user
/// named: there TLS goes first, unverified, as with docker.
void Session::probe(Registry& registry, std::stop_token stop) {
  const std::string host = api_host(registry.host);
  const std::array<const char*, 2> schemes =
      registry.insecure() ? std::array{"https", "http"} : std::array{"http", "https"};
  registry.origin = registry_origin(host, schemes[0]);
  std::optional<Error> first;
  try {
    if (answers(registry, stop)) return;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::unavailable) throw;
    first = e;
  }
  registry.origin = registry_origin(host, schemes[1]);
  try {
    if (answers(registry, stop)) return;
  } catch (const Error& e) {
    if (e.code() != ErrorCode::unavailable || !first) throw;
    throw *first;
  }
  // Something answers, but no registry's base: the request itself will tell.
}

bool Session::answers(const Registry& registry, std::stop_token stop) {
  HttpRequest request;
  request.url = registry.origin.str() + "/v2/";
  request.tls = registry.tls;
  // A server that wants TLS answers plain http with 400.
  return perform(request, std::move(stop)).status != 400;
}

HttpResponse Session::send(const Call& call, std::stop_token stop) {
  Registry& registry = registry_of(call.repository);
  const StreamLimit::Slot slot(registry.streams, stop);
  return exchange(registry, call, std::move(stop));
}

std::optional<HttpResponse> Session::send_if_free(const Call& call, std::stop_token stop) {
  Registry& registry = registry_of(call.repository);
  const std::optional<StreamLimit::Slot> slot = registry.streams.try_admit();
  if (!slot) return std::nullopt;
  return exchange(registry, call, std::move(stop));
}

HttpResponse Session::exchange(Registry& registry, const Call& call, std::stop_token stop) {
  connect(registry, stop);
  const AuthTarget target{registry.origin, call.repository, call.scopes, registry.tls};
  std::string authorization = authorizer_.authorization(target, stop);
  for (int round = 0;; ++round) {
    bool left_origin = false;
    HttpResponse response = follow(registry, call, authorization, left_origin, stop);
    tell_rate_limit(registry, response);
    if (response.ok()) admit(registry, call);
    if (response.status != 401 || left_origin) return response;
    std::optional<std::string> better;
    if (round < kAuthorizationRounds) {
      better = authorizer_.answer(target, response, authorization, stop);
    }
    if (better) {
      authorization = *std::move(better);
    } else if (was_admitted(registry, call)) {
      // Its memory of tokens, or its token server, is in trouble: that may pass.
      throw Error(ErrorCode::unavailable, "registry " + base::quoted(registry.host) +
                                              " refuses what it allowed before (" +
                                              describe(response) + ")");
    } else {
      return response;
    }
  }
}

void Session::admit(Registry& registry, const Call& call) {
  const std::lock_guard lock(mutex_);
  registry.admitted.emplace(call.repository.path, call.scopes);
}

bool Session::was_admitted(const Registry& registry, const Call& call) {
  const std::lock_guard lock(mutex_);
  return registry.admitted.contains({call.repository.path, call.scopes});
}

/// Once, when little remains: a build that goes on pulling will be refused.
void Session::tell_rate_limit(Registry& registry, const HttpResponse& response) const {
  const std::optional<RateLimit> limit = parse_rate_limit(response.headers);
  if (!limit || !limit->is_nearly_used_up() || registry.limit_told.exchange(true)) return;
  base::log_info("rate limit of registry " + base::quoted(registry.host) + ": " + limit->str());
}

HttpResponse Session::follow(const Registry& registry, const Call& call,
                             const std::string& authorization, bool& left_origin,
                             std::stop_token stop) {
  Url url = call.upload.value_or(Url{registry.origin, call.target});
  const std::unique_ptr<base::ByteSource> body = call.open_body ? call.open_body() : nullptr;
  HttpRequest request;
  request.method = call.method;
  request.headers = call.headers;
  request.body = body.get();
  request.body_size = call.body_size;
  request.answer_timeout = call.answer_timeout;
  request.tls = registry.tls;
  if (!authorization.empty()) request.headers.set("Authorization", authorization);
  request.route = [&](const HttpResponse& head) {
    return head.ok() && call.route ? call.route(head) : nullptr;
  };
  const bool may_follow = call.method == "GET" || call.method == "HEAD";
  for (int hop = 0;; ++hop) {
    request.url = url.str();
    HttpResponse response = call.perform ? call.perform(request, stop) : perform(request, stop);
    if (!may_follow || !is_redirect(response.status)) return response;
    if (hop == kLongestRedirectChain) {
      throw Error(ErrorCode::corrupt, "registry " + base::quoted(registry.host) +
                                          " redirects more than " +
                                          std::to_string(kLongestRedirectChain) + " times");
    }
    Url next = resolve_url(url, response.headers.get("Location"));
    next.origin = check_redirect(registry, url, next);
    if (next.origin != url.origin) {
      // Credentials and client certificates belong to one origin, and do not come back.
      request.headers.remove("Authorization");
      request.tls = {};
      left_origin = true;
    }
    url = std::move(next);
  }
}

Origin Session::check_redirect(const Registry& registry, const Url& from, const Url& to) const {
  const auto refuse = [&](std::string_view why) {
    throw RefusedAnswer("registry " + base::quoted(registry.host) + " redirects to " +
                        base::quoted(to.origin.str()) + ", which is refused: " + std::string(why));
  };
  if (is_own_without_tls(from.origin, to.origin)) return from.origin;
  if (from.origin.scheme == "https" && to.origin.scheme == "http") refuse("it is not https");
  const bool other_host = to.origin.host != registry.origin.host;
  if (is_link_local(to.origin.host) && other_host && !options_.allow_private_redirects) {
    refuse("it is a link-local address");
  }
  const bool local = registry.insecure() || is_private_address(registry.origin.host);
  if (is_private_address(to.origin.host) && !local && !options_.allow_private_redirects) {
    refuse("it is a private address, and the registry is not");
  }
  return to.origin;
}

HttpResponse Session::perform(const HttpRequest& request, std::stop_token stop) {
  HttpResponse response = http_.perform(request, std::move(stop));
  if (!is_retryable_status(response.status)) reached_ = true;
  if (base::log_enabled(base::LogLevel::debug)) {
    base::log_debug("http " + request.method + " " +
                    base::redacted(request.url.substr(0, request.url.find('?'))) +
                    " status=" + std::to_string(response.status));
  }
  return response;
}

HttpResponse Session::send_with_retries(const Call& call, std::stop_token stop, Patience patience) {
  return with_retries(
      stop, [&] { return send(call, stop); }, patience);
}

HttpResponse Session::with_retries(std::stop_token stop,
                                   const std::function<HttpResponse()>& attempt,
                                   Patience patience) {
  Retry retry = new_retry(patience);
  for (;;) {
    try {
      HttpResponse response = attempt();
      if (!is_retryable_status(response.status) || !retry.wait(response, stop)) return response;
    } catch (const Error& e) {
      if (!retry.wait(e, stop)) throw;
    }
  }
}

Url Session::upload_url(const oci::Repository& repository, const HttpResponse& response,
                        const std::string& requested, std::stop_token stop) {
  Registry& registry = registry_of(repository);
  connect(registry, std::move(stop));
  Url url = resolve_url({registry.origin, requested}, response.headers.get("Location"));
  if (is_own_without_tls(registry.origin, url.origin)) url.origin = registry.origin;
  if (url.origin != registry.origin) {
    RefusedAnswer error("registry " + base::quoted(registry.host) + " wants uploads to go to " +
                        base::quoted(url.origin.str()) + ", which is not its own address");
    error.set_hint("check the external URL in the registry's configuration");
    throw error;
  }
  return url;
}

}  // namespace strake::registry
