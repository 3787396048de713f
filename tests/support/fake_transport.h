#pragma once

#include <map>
#include <mutex>

#include "layers/base/error.h"
#include "registry/http.h"
#include "tests/support/http_exchange.h"

namespace strake::support {

/// An HttpTransport without a network: each origin ("https://registry.example.com") has a handler;
/// other origins cannot be reached. Remembers all requests.
class FakeTransport final : public registry::HttpTransport {
 public:
  void serve(const std::string& origin, ServerHandler handler) {
    handlers_[origin] = std::move(handler);
  }

  registry::HttpResponse perform(const registry::HttpRequest& request,
                                 std::stop_token stop) override {
    using base::Error;
    using base::ErrorCode;
    if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
    const std::size_t path = request.url.find('/', request.url.find("//") + 2);
    ServerRequest seen{request.method,
                       request.url.substr(0, path),
                       request.url.substr(path),
                       {request.headers.begin(), request.headers.end()},
                       ""};
    const auto handler = handlers_.find(seen.origin);
    if (request.body != nullptr && handler != handlers_.end()) {
      seen.body.resize(request.body_size);
      const std::size_t count = base::read_full(
          *request.body, std::as_writable_bytes(std::span(seen.body.data(), seen.body.size())));
      if (count != request.body_size) throw Error(ErrorCode::corrupt, "the body ends early");
    }
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(seen);
      tls_.push_back(request.tls);
    }
    if (handler == handlers_.end()) {
      throw Error(ErrorCode::unavailable, "cannot reach " + seen.origin);
    }
    return deliver(request, handler->second(seen));
  }

  std::vector<ServerRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  /// "GET https://host/path" of each request.
  std::vector<std::string> lines() const {
    std::vector<std::string> lines;
    for (const ServerRequest& r : requests()) lines.push_back(r.method + " " + r.origin + r.target);
    return lines;
  }
  std::size_t count(const std::string& method) const {
    std::size_t count = 0;
    for (const ServerRequest& r : requests()) count += r.method == method ? 1 : 0;
    return count;
  }
  std::vector<registry::TlsOptions> tls() const {
    const std::lock_guard lock(mutex_);
    return tls_;
  }

 private:
  static registry::HttpResponse deliver(const registry::HttpRequest& request,
                                        const ServerResponse& answer) {
    registry::HttpResponse response;
    response.status = answer.status;
    for (const auto& [name, value] : answer.headers) response.headers.add(name, value);
    if (!response.headers.find("Content-Length")) {
      response.headers.add("Content-Length", std::to_string(answer.body.size()));
    }
    base::ByteSink* sink = request.route ? request.route(response) : nullptr;
    if (request.method == "HEAD") return response;
    const std::string body = answer.body.substr(0, answer.cut_after.value_or(-1));
    if (sink != nullptr) {
      // In small pieces, as networks do.
      for (std::size_t i = 0; i < body.size(); i += 1000) {
        sink->write(base::bytes_of(std::string_view(body).substr(i, 1000)));
      }
    } else {
      response.body = body.substr(0, registry::kCollectedBodyBytes);
    }
    if (answer.cut_after) {
      throw base::Error(base::ErrorCode::unavailable, "connection reset");
    }
    return response;
  }

  std::map<std::string, ServerHandler> handlers_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<ServerRequest> requests_;
  std::vector<registry::TlsOptions> tls_;
};

}  // namespace strake::support
