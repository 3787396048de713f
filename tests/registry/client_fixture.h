#pragma once

#include "registry/client.h"
#include "tests/registry/expect_error.h"
#include "tests/registry/fake_registry.h"
#include "tests/support/fake_transport.h"

namespace strake::registry::testing {

using base::ErrorCode;
using support::FakeTransport;

/// A client whose clock moves only by its own sleeping, at https://reg.example.com.
class ClientTest : public ::testing::Test {
 protected:
  static constexpr const char* kHost = "reg.example.com";
  static constexpr const char* kOrigin = "https://reg.example.com";

  ClientOptions options() {
    ClientOptions options;
    options.certificate_directories = {};
    options.environment = {[this] { return now_; },
                           [this](std::chrono::milliseconds delay, std::stop_token) {
                             const std::lock_guard lock(mutex_);
                             now_ += delay;
                             ++sleeps_;
                           },
                           [] { return 0.5; }};
    return options;
  }

  Client& client() {
    if (!client_) client_ = std::make_unique<Client>(http_, credentials_, options_);
    return *client_;
  }

  static oci::Descriptor blob_of(const std::string& bytes) {
    return {"application/octet-stream", base::Digest::of(bytes), bytes.size()};
  }
  std::string pull(const oci::Descriptor& blob) {
    base::StringSink sink;
    client().get_blob(repository_, blob, sink);
    return sink.text;
  }
  static BlobOpener opener(std::string bytes) {
    return [bytes = std::move(bytes)](std::uint64_t offset) {
      return std::make_unique<base::StringSource>(bytes, offset);
    };
  }
  /// Text that differs everywhere, so that mixed-up ranges show.
  static std::string text_of_size(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
    text.resize(size);
    return text;
  }

  /// "0-19" of each PATCH.
  std::vector<std::string> chunks() const {
    std::vector<std::string> ranges;
    for (const ServerRequest& request : http_.requests())
      if (request.method == "PATCH") ranges.push_back(request.header("Content-Range"));
    return ranges;
  }
  std::size_t bytes_sent() const {
    std::size_t count = 0;
    for (const ServerRequest& request : http_.requests()) count += request.body.size();
    return count;
  }

  std::mutex mutex_;
  Clock::time_point now_{};
  int sleeps_ = 0;
  FakeTransport http_;
  FakeRegistry registry_;
  Credentials credentials_;
  ClientOptions options_ = options();
  const oci::Repository repository_{kHost, "team/app"};

 private:
  std::unique_ptr<Client> client_;
};

/// A manifest of a config and layers that need not exist.
inline std::string manifest_json(const std::string& config = "config",
                                 const std::string& layer = "layer") {
  const auto descriptor = [](const char* type, const std::string& bytes) {
    return std::string("{\"mediaType\":\"") + type + "\",\"digest\":\"" +
           base::Digest::of(bytes).str() + "\",\"size\":" + std::to_string(bytes.size()) + "}";
  };
  return "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
         "\"config\":" +
         descriptor("application/vnd.oci.image.config.v1+json", config) + ",\"layers\":[" +
         descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer) + "]}";
}
inline constexpr const char* kManifestType = "application/vnd.oci.image.manifest.v1+json";

}  // namespace strake::registry::testing
