#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/base/stream.h"

namespace strake::registry {

/// Header fields in the order they were added; names compare without case.
class HttpHeaders {
 public:
  void add(std::string name, std::string value) {
    fields_.emplace_back(std::move(name), std::move(value));
  }
  /// Replaces every field of that name.
  void set(std::string_view name, std::string value);
  void remove(std::string_view name);
  /// The first field of that name.
  std::optional<std::string_view> find(std::string_view name) const;
  /// The first field of that name, "" if there is none.
  std::string_view get(std::string_view name) const { return find(name).value_or(""); }
  std::vector<std::string_view> all(std::string_view name) const;

  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// Status line and header fields of a final response (never 1xx), and the text of a body that
/// nobody wanted as a stream: an error's explanation, cut off after kCollectedBodyBytes.
struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  std::string body;

  bool ok() const noexcept { return status >= 200 && status < 300; }
};

/// What follows is not even received: the connection is closed.
inline constexpr std::size_t kCollectedBodyBytes = 64 * 1024;

struct TlsOptions {
  bool verify = true;     // peer and host name
  std::string ca_file;    // trusted besides the system's, PEM; "" for none
  std::string cert_file;  // client certificate and its key, PEM; "" for none
  std::string key_file;
  auto operator<=>(const TlsOptions&) const = default;
};

/// One request to an absolute http or https URL.
struct HttpRequest {
  std::string method = "GET";
  std::string url;
  HttpHeaders headers = {};
  /// Sent as the request's body, exactly `body_size` bytes of it. Not owned.
  base::ByteSource* body = nullptr;
  std::uint64_t body_size = 0;
  /// Called once, when status and headers are known, before any byte of the body: where the body
  /// goes. Null (and an empty function) means HttpResponse::body.
  std::function<base::ByteSink*(const HttpResponse&)> route = {};
  TlsOptions tls = {};
  /// How long the answer's header may take after the last byte of the request, if that is not what
  /// the transport allows anyway: a registry that stores a large upload is silent for minutes.
  std::optional<std::chrono::milliseconds> answer_timeout = std::nullopt;
};

/// Sends requests; libcurl in the program, a fake in tests. Thread-safe.
class HttpTransport {
 public:
  virtual ~HttpTransport() = default;

  /// Sends one request and waits for the end of its response. Redirects are returned, not followed;
  /// no credentials are added. Status codes are values, not errors.
  ///
  /// Throws Error(unavailable) for what trying again may cure: no connection, a timeout, a reset, a
  /// body that ends early. Error(denied) when the server's certificate is not trusted;
  /// Error(cancelled) soon after `stop` is requested; Error(corrupt) when the header is too big.
  /// What the sink or the body's source throws comes out unchanged.
  virtual HttpResponse perform(const HttpRequest& request, std::stop_token stop) = 0;

  /// Does what the first perform() would have to do before. Throws nothing: that will tell.
  virtual void prepare() noexcept {}
};

/// Whether `a` and `b` are the same text but for ASCII case.
bool equal_ignoring_case(std::string_view a, std::string_view b);

}  // namespace strake::registry
