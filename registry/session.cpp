#include "registry/session.h"

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/registry_error.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;
namespace fs = std::filesystem;

constexpr int kLongestRedirectChain = 5;
constexpr int kAuthorizationRounds = 2;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// docker.io is a name; its API is elsewhere.
std::string api_host(const std::string& host) {
  return host == "docker.io" || host == "index.docker.io" ? "registry-1.docker.io" : host;
}

/// The first file of `directory` with that extension, in the order of names; "" if there is none.
std::string first_file(const fs::path& directory, const char* extension) {
  std::string found;
  std::error_code error;
  for (fs::directory_iterator i(directory, error), end; !error && i != end; i.increment(error)) {
    const std::string path = i->path().string();
    if (i->path().extension() == extension && (found.empty() || path < found)) found = path;
  }
  return found;
}

/// Docker's layout: <directory>/<host[:port]>/{*.crt, *.cert, *.key}.
TlsOptions certificates_of(const std::string& host, const std::vector<std::string>& directories) {
  TlsOptions tls;
  for (const std::string& directory : directories) {
    const fs::path own = fs::path(directory) / host;
    if (tls.ca_file.empty()) tls.ca_file = first_file(own, ".crt");
    if (!tls.cert_file.empty()) continue;
    tls.cert_file = first_file(own, ".cert");
    if (!tls.cert_file.empty()) tls.key_file = first_file(own, ".key");
  }
  return tls;
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
  bool insecure = false;
  Origin origin;  // valid once connected
  TlsOptions tls;
  std::mutex mutex;  // held while the scheme is found out
  std::atomic<bool> connected = false;
  StreamLimit streams;

  Registry(std::string name, int limit) : host(std::move(name)), streams(limit) {}
};

std::string scope_of(const oci::Repository& repository, Access access) {
  return "repository:" + repository.path + (access == Access::push ? ":pull,push" : ":pull");
}

Session::Session(HttpTransport& http, const Credentials& credentials, ClientOptions options)
    : http_(http),
      options_(std::move(options)),
      authorizer_(http, credentials, options_.trusted_realm_hosts, options_.environment.now) {}
Session::~Session() = default;

Session::Registry& Session::registry_of(const std::string& host) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Registry>& registry = registries_[host];
  if (!registry) {
    registry = std::make_unique<Registry>(host, options_.streams_per_registry);
    registry->insecure = options_.insecure_hosts.contains(host);
  }
  return *registry;
}

void Session::connect(Registry& registry, std::stop_token stop) {
  if (registry.connected) return;
  const std::lock_guard lock(registry.mutex);
  if (registry.connected) return;
  const std::string host = api_host(registry.host);
  registry.origin = registry_origin(host, "https");
  registry.tls = certificates_of(host, options_.certificate_directories);
  if (registry.insecure || is_loopback(registry.origin.host)) probe(registry, std::move(stop));
  registry.connected = true;
}

/// Plain http is for registries of this machine, which rarely have TLS, and for those the user
/// named: there TLS goes first, unverified, as with docker.
void Session::probe(Registry& registry, std::stop_token stop) {
  const std::string host = api_host(registry.host);
  registry.tls.verify = !registry.insecure;
  const std::array<const char*, 2> schemes =
      registry.insecure ? std::array{"https", "http"} : std::array{"http", "https"};
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
  Registry& registry = registry_of(call.repository.host);
  const StreamLimit::Slot slot(registry.streams, stop);
  connect(registry, stop);
  const AuthTarget target{registry.origin, call.repository, call.scopes, registry.tls};
  std::string authorization = authorizer_.authorization(target, stop);
  for (int round = 0;; ++round) {
    bool left_origin = false;
    HttpResponse response = follow(registry, call, authorization, left_origin, stop);
    if (response.status != 401 || left_origin || round == kAuthorizationRounds) return response;
    std::optional<std::string> better = authorizer_.answer(target, response, authorization, stop);
    if (!better) return response;
    authorization = *std::move(better);
  }
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
  request.tls = registry.tls;
  if (!authorization.empty()) request.headers.set("Authorization", authorization);
  request.route = [&](const HttpResponse& head) {
    return head.ok() && call.route ? call.route(head) : nullptr;
  };
  const bool may_follow = call.method == "GET" || call.method == "HEAD";
  for (int hop = 0;; ++hop) {
    request.url = url.str();
    HttpResponse response = perform(request, stop);
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
    throw Error(ErrorCode::denied, "registry " + base::quoted(registry.host) + " redirects to " +
                                       base::quoted(to.origin.str()) +
                                       ", which is refused: " + std::string(why));
  };
  if (is_own_without_tls(from.origin, to.origin)) return from.origin;
  if (from.origin.scheme == "https" && to.origin.scheme == "http") refuse("it is not https");
  const bool local = registry.insecure || is_private_address(registry.origin.host);
  if (is_private_address(to.origin.host) && !local && !options_.allow_private_redirects) {
    refuse("it is a private address, and the registry is not");
  }
  return to.origin;
}

HttpResponse Session::perform(const HttpRequest& request, std::stop_token stop) {
  HttpResponse response = http_.perform(request, std::move(stop));
  if (base::log_enabled(base::LogLevel::debug)) {
    base::log_debug("http " + request.method + " " +
                    base::redacted(request.url.substr(0, request.url.find('?'))) +
                    " status=" + std::to_string(response.status));
  }
  return response;
}

HttpResponse Session::send_with_retries(const Call& call, std::stop_token stop) {
  return with_retries(stop, [&] { return send(call, stop); });
}

HttpResponse Session::with_retries(std::stop_token stop,
                                   const std::function<HttpResponse()>& attempt) {
  Retry retry = new_retry();
  for (;;) {
    try {
      HttpResponse response = attempt();
      if (!is_retryable_status(response.status) || !retry.wait(response, stop)) return response;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unavailable || !retry.wait(stop)) throw;
    }
  }
}

Url Session::upload_url(const oci::Repository& repository, const HttpResponse& response,
                        const std::string& requested, std::stop_token stop) {
  Registry& registry = registry_of(repository.host);
  connect(registry, std::move(stop));
  Url url = resolve_url({registry.origin, requested}, response.headers.get("Location"));
  if (is_own_without_tls(registry.origin, url.origin)) url.origin = registry.origin;
  if (url.origin != registry.origin) {
    throw Error(ErrorCode::denied, "registry " + base::quoted(registry.host) +
                                       " wants uploads to go to " + base::quoted(url.origin.str()) +
                                       ", which is not its own address")
        .hint("check the external URL in the registry's configuration");
  }
  return url;
}

}  // namespace strake::registry
