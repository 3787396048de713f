#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "registry/authorizer.h"
#include "registry/client.h"
#include "registry/mirrors.h"
#include "registry/stream_limit.h"
#include "registry/url.h"

namespace strake::registry {

/// What a request may do to a repository.
enum class Access { pull, push };

/// How long to try at one place: a mirror's failures are not waited out, the next place is asked.
enum class Patience { full, little };

/// One request to a registry's API.
struct Call {
  std::string method = "GET";
  oci::Repository repository;      // path "" for the registry itself
  std::string target;              // path and query of the API: "/v2/team/app/tags/list"
  std::optional<Url> upload = {};  // instead of `target`: where an upload goes
  HttpHeaders headers = {};
  std::vector<std::string> scopes = {};
  std::function<std::unique_ptr<base::ByteSource>()> open_body = {};  // called for each attempt
  std::uint64_t body_size = 0;
  std::optional<std::chrono::milliseconds> answer_timeout = {};  // as HttpRequest's
  /// Sends the request instead of the transport, body and all.
  std::function<HttpResponse(const HttpRequest&, std::stop_token)> perform = {};
  /// As HttpRequest::route, but asked only for successful responses (2xx).
  std::function<base::ByteSink*(const HttpResponse&)> route = {};
};

/// Everything between a verb and the wire: which URL a registry has, plain http or TLS, its
/// certificates, authorization, redirects, the number of streams, retries. Thread-safe.
class Session {
 public:
  Session(HttpTransport& http, const Credentials& credentials, ClientOptions options);
  ~Session();

  /// One attempt: answers challenges (twice at most) and follows redirects of GET and HEAD. Status
  /// codes are values; throws as HttpTransport::perform and for refused redirects.
  HttpResponse send(const Call& call, std::stop_token stop);
  /// The same on a stream that nobody else wants right now; nullopt if there is none.
  std::optional<HttpResponse> send_if_free(const Call& call, std::stop_token stop);

  /// send(), tried again as the policy says. For requests that may be repeated safely.
  HttpResponse send_with_retries(const Call& call, std::stop_token stop,
                                 Patience patience = Patience::full);

  /// Runs `attempt` until its response is not worth trying again for, or attempts are used up: the
  /// last response is returned, the last Error(unavailable) thrown.
  HttpResponse with_retries(std::stop_token stop, const std::function<HttpResponse()>& attempt,
                            Patience patience = Patience::full);

  void prepare() { http_.prepare(); }
  const RetryEnvironment& environment() const noexcept { return options_.environment; }
  Retry new_retry(Patience patience = Patience::full) const {
    const RetryPolicy& full = reached_ ? steadfast_ : options_.retry;
    return Retry(patience == Patience::full ? full : impatient_, options_.environment);
  }

  /// Where to read what `repository` has: mirrors, then itself. Throws Error(denied) if it is
  /// blocked.
  PlacesToTry places(const oci::Repository& repository, bool by_digest);

  /// The URL of an upload from a Location field. It must be of the registry's own origin: what is
  /// uploaded and the credentials go nowhere else. Throws Error(denied).
  Url upload_url(const oci::Repository& repository, const HttpResponse& response,
                 const std::string& requested, std::stop_token stop);

 private:
  struct Registry;

  HttpResponse exchange(Registry& registry, const Call& call, std::stop_token stop);
  void admit(Registry& registry, const Call& call);
  bool was_admitted(const Registry& registry, const Call& call);
  const Registries& registries();
  Registry& registry_of(const oci::Repository& repository);
  void connect(Registry& registry, std::stop_token stop);
  void load_certificates(Registry& registry);
  void probe(Registry& registry, std::stop_token stop);
  bool answers(const Registry& registry, std::stop_token stop);
  HttpResponse follow(const Registry& registry, const Call& call, const std::string& authorization,
                      bool& left_origin, std::stop_token stop);
  HttpResponse perform(const HttpRequest& request, std::stop_token stop);
  void tell_rate_limit(Registry& registry, const HttpResponse& response) const;
  Origin check_redirect(const Registry& registry, const Url& from, const Url& to) const;

  HttpTransport& http_;
  const ClientOptions options_;
  const RetryPolicy impatient_, steadfast_;
  std::atomic<bool> reached_ = false;  // some registry has answered, and not that it is busy
  Authorizer authorizer_;
  MirrorHealth mirrors_;
  std::once_flag registries_read_;  // guards all_registries_
  Registries all_registries_;
  std::mutex mutex_;  // guards what follows
  std::vector<std::unique_ptr<Registry>> registries_;
  std::map<oci::Repository, Registry*> known_;
};

/// "repository:team/app:pull" or "…:pull,push".
std::string scope_of(const oci::Repository& repository, Access access);

}  // namespace strake::registry
