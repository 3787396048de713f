#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/client.h"
#include "registry/curl_transport.h"
#include "tests/registry/expect_error.h"
#include "tests/registry/fake_registry.h"
#include "tests/support/http_server.h"

namespace strake::registry::testing {

using base::ErrorCode;
using namespace std::chrono_literals;

/// A client with libcurl, quick to lose patience, whose pauses between attempts cost no time, and a
/// server on a socket that says what the test makes it say. The user has a password for it.
class HostileRegistry : public ::testing::Test {
 protected:
  static constexpr const char* kPassword = "c4n4ry-password";

  HostileRegistry() { credentials_.set(server_.host(), {"user", kPassword}); }

  static CurlOptions curl_options() {
    return {.connect_timeout = 1500ms,
            .pace = {.answer = 700ms, .bytes_per_second = 1024, .window = 1000ms}};
  }
  ClientOptions options() {
    ClientOptions options;
    options.certificate_directories = {};
    options.retry.attempts = 3;
    options.environment = {[this] {
                             const std::lock_guard lock(mutex_);
                             return Clock::now() + slept_;
                           },
                           [this](std::chrono::milliseconds delay, std::stop_token) {
                             const std::lock_guard lock(mutex_);
                             slept_ += delay;
                             ++sleeps_;
                           },
                           [] { return 0.5; }};
    return options;
  }
  Client& client() {
    if (!client_) client_ = std::make_unique<Client>(http_, credentials_, options_);
    return *client_;
  }
  /// The next request is made by a client that knows nothing of those before.
  void forget() { client_.reset(); }
  /// `host` speaks plain http: there is no request to find that out.
  void expect_http(const std::string& host) {
    RegistryRule rule{.scope = parse_registry_scope(host), .source = "test"};
    rule.connection.http = true;
    options_.registries.add({rule});
    forget();
  }

  static oci::Descriptor blob_of(const std::string& bytes) {
    return {"application/octet-stream", base::Digest::of(bytes), bytes.size()};
  }
  static BlobOpener opener(std::string bytes) {
    return [bytes = std::move(bytes)](std::uint64_t offset) {
      return std::make_unique<base::StringSource>(bytes.substr(offset));
    };
  }
  /// What arrives of a blob until it is there or refused; the reason is kept in `error_`.
  std::string pull(const oci::Repository& from, const oci::Descriptor& blob) {
    base::StringSink sink;
    error_.reset();
    try {
      client().get_blob(from, blob, sink);
    } catch (const base::Error& e) {
      error_ = e;
    }
    return sink.text;
  }
  std::string pull(const oci::Descriptor& blob) { return pull(repository_, blob); }
  std::optional<ErrorCode> outcome() const {
    return error_ ? std::optional(error_->code()) : std::nullopt;
  }
  /// Text that differs everywhere, so that mixed-up ranges show.
  static std::string text_of_size(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
    text.resize(size);
    return text;
  }

  std::mutex mutex_;  // guards the next two
  std::chrono::milliseconds slept_{};
  int sleeps_ = 0;
  support::ServerHandler answer_ = [](const ServerRequest&) { return ServerResponse{}; };
  support::HttpServer server_{[this](const ServerRequest& request) {
    if (request.path() == "/v2/") return ServerResponse{};
    return answer_(request);
  }};
  CurlTransport http_{curl_options()};
  Credentials credentials_;
  ClientOptions options_ = options();
  const oci::Repository repository_{server_.host(), "team/app"};
  std::optional<base::Error> error_;

 private:
  std::unique_ptr<Client> client_;
};

/// A descriptor as JSON, its members as given.
inline std::string descriptor_json(
    const std::string& digest, const std::string& size,
    const std::string& type = "application/vnd.oci.image.layer.v1.tar") {
  return "{\"mediaType\":\"" + type + "\",\"digest\":\"" + digest + "\"" +
         (size.empty() ? "" : ",\"size\":" + size) + "}";
}
inline std::string descriptor_json(const std::string& bytes_of_blob) {
  return descriptor_json(base::Digest::of(bytes_of_blob).str(),
                         std::to_string(bytes_of_blob.size()));
}
inline constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kIndexType = "application/vnd.oci.image.index.v1+json";

/// A manifest with this layer.
inline std::string manifest_json(const std::string& layer) {
  return "{\"schemaVersion\":2,\"mediaType\":\"" + std::string(kManifestType) + "\",\"config\":" +
         descriptor_json(base::Digest::of("config").str(), "6",
                         "application/vnd.oci.image.config.v1+json") +
         ",\"layers\":[" + layer + "]}";
}

}  // namespace strake::registry::testing
