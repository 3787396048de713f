#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

#include "layers/base/stream.h"
#include "registry/http.h"
#include "registry/retry.h"

namespace strake::builder {

/// What a server said about a version of a file, to be given back when asking for it again.
struct HttpValidators {
  std::string etag;           // as sent, quotes and W/ included; "" for none
  std::string last_modified;  // as sent; "" for none, or where it cannot tell versions apart
  bool empty() const noexcept { return etag.empty() && last_modified.empty(); }
  bool operator==(const HttpValidators&) const = default;
};

struct HttpGet {
  std::string url;            // http or https; a user name in it is not sent (see source_auth.h)
  std::string authorization;  // for the origin of `url`, and no other; "" for none
  HttpValidators known;       // a version that need not be sent again
  std::uint64_t limit_bytes = std::uint64_t{64} << 30;
};

/// Where the body goes. `restart` forgets what was written: the body comes again from its
/// beginning.
struct HttpBody : base::ByteSink {
  virtual void restart() = 0;
};

struct HttpAnswer {
  bool not_modified = false;  // `known` is still right; no body came
  HttpValidators validators;
  std::optional<std::int64_t> last_modified;  // seconds since 1970
  std::string content_type;                   // as sent
  std::string disposition_name;               // file name of Content-Disposition, "" for none
};

struct HttpSourceOptions {
  /// Redirects from a public host to a private address are followed.
  bool allow_private_redirects = false;
  registry::RetryPolicy retry = {};
  registry::RetryEnvironment environment = registry::RetryEnvironment::real();
};

/// Fetches files over http(s): redirects by hand (at most 5, never https to http, never from a
/// public host to a private address, no credentials to another origin), retries for what may pass,
/// going on where a broken transfer stopped if the server has a strong ETag. Thread-safe.
class HttpSource {
 public:
  explicit HttpSource(registry::HttpTransport& http, HttpSourceOptions options = {});

  /// Throws Error naming the URL (redacted) and the status: denied (401, 403, refused redirects),
  /// not_found (404, 410), unavailable, corrupt (too large, a body that does not fit its length),
  /// invalid_input (not a URL). `body` has got everything, once, when this returns.
  HttpAnswer get(const HttpGet& request, HttpBody& body, std::stop_token stop);

 private:
  class Download;

  registry::HttpTransport& http_;
  const HttpSourceOptions options_;
};

}  // namespace strake::builder
