#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "registry/http.h"
#include "registry/transfer_pace.h"

namespace strake::registry {

struct CurlOptions {
  std::string user_agent = "strake/" STRAKE_VERSION;
  std::chrono::milliseconds connect_timeout{10'000};  // TLS included
  PaceLimits pace = {};
};

/// HTTP by libcurl, which is loaded when the first request is made: a build that talks to nobody
/// does not pay for loading it. Connections are kept and used again; HTTP/2 where TLS offers it;
/// proxies of the environment, see proxy_for().
///
/// perform() throws Error(unsupported) naming the missing package if there is no libcurl.
class CurlTransport final : public HttpTransport {
 public:
  explicit CurlTransport(CurlOptions options = {});
  ~CurlTransport() override;
  CurlTransport(const CurlTransport&) = delete;
  CurlTransport& operator=(const CurlTransport&) = delete;

  HttpResponse perform(const HttpRequest& request, std::stop_token stop) override;
  void prepare() noexcept override;

 private:
  class Pool;
  Pool& pool();

  const CurlOptions options_;
  std::mutex mutex_;            // guards what follows
  std::unique_ptr<Pool> pool_;  // made with the first request
};

}  // namespace strake::registry
