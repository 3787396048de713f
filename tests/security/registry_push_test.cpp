// Registries that say they have what they have not, or have stored what they have not.

#include "registry/transfer.h"
#include "tests/security/registry_fixture.h"

namespace strake::registry {
namespace {

using testing::code_of;
using testing::ErrorCode;
using testing::FakeRegistry;
using ::testing::HasSubstr;
using testing::ServerRequest;
using testing::ServerResponse;

class RegistryPush : public testing::HostileRegistry {
 protected:
  RegistryPush() {
    answer_ = [this](const ServerRequest& request) {
      const std::optional<ServerResponse> lie = lie_ ? lie_(request) : std::nullopt;
      return lie ? *lie : registry_(request);
    };
  }

  void push(const std::vector<oci::Repository>& mount_from = {}) {
    BlobUploader uploader(client(), repository_);
    const std::string one = "1";
    push_image(client(), uploader,
               {{blob_of("config"), opener("config"), mount_from},
                {blob_of(layer_), opener(layer_), mount_from}},
               {}, {blob_of(manifest_), manifest_}, std::span(&one, 1));
  }
  int count(const std::string& method, const std::string& path) const {
    int found = 0;
    for (const ServerRequest& request : server_.requests())
      found += request.method == method && request.path().find(path) != std::string::npos;
    return found;
  }
  /// Pulls the image as another client would.
  void expect_whole() {
    forget();
    lie_ = {};
    const auto document = client().get_manifest({repository_, "1", {}});
    EXPECT_EQ(document.bytes, manifest_);
    EXPECT_EQ(pull(blob_of(layer_)), layer_);
    EXPECT_EQ(pull(blob_of("config")), "config");
  }

  const std::string layer_ = text_of_size(100'000);
  const std::string manifest_ = testing::manifest_json(testing::descriptor_json(layer_));
  FakeRegistry registry_;
  std::function<std::optional<ServerResponse>(const ServerRequest&)> lie_;
};

// Case B28: registries that say they have what they have not.
TEST_F(RegistryPush, BlobsThatARegistryOnlySaysItHasAreUploadedAfterAll) {
  lie_ = [](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.method == "HEAD" && request.path().find("/blobs/") != std::string::npos)
      return ServerResponse{};
    return std::nullopt;
  };
  push();
  EXPECT_EQ(count("PUT", "/blobs/uploads/"), 2);
  EXPECT_EQ(count("PUT", "/manifests/"), 2);
  expect_whole();
}

TEST_F(RegistryPush, BlobsThatWereNotReallyMountedAreUploadedAfterAll) {
  lie_ = [](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.target.find("mount=") != std::string::npos) return ServerResponse{.status = 201};
    return std::nullopt;
  };
  push({{server_.host(), "base/image"}});
  EXPECT_EQ(count("PUT", "/blobs/uploads/"), 2);
  expect_whole();
}

TEST_F(RegistryPush, ThatNeverFindsABlobFailsAfterOneMoreUpload) {
  lie_ = [](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.method == "PUT" && request.path().find("/manifests/") != std::string::npos)
      return ServerResponse{.status = 400,
                            .body = R"({"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]})"};
    if (request.method == "HEAD") return ServerResponse{};
    return std::nullopt;
  };
  EXPECT_THROW(push(), base::Error);
  EXPECT_EQ(count("PUT", "/blobs/uploads/"), 2);
  EXPECT_LE(count("PUT", "/manifests/"), 3);
}

TEST_F(RegistryPush, ManifestsStoredAsAnotherAreAnError) {
  lie_ = [](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.method == "PUT" && request.path().find("/manifests/") != std::string::npos)
      return ServerResponse{
          .status = 201, .headers = {{"Docker-Content-Digest", base::Digest::of("another").str()}}};
    return std::nullopt;
  };
  EXPECT_EQ(code_of([&] { push(); }), ErrorCode::corrupt);
}

TEST_F(RegistryPush, FailuresAfterStoringAreNoFailures) {
  int failed = 0;
  lie_ = [&](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.method != "PUT" || failed++ % 2 == 1) return std::nullopt;
    registry_(request);
    return ServerResponse{.status = 500};
  };
  push();
  EXPECT_GE(failed, 3);
  expect_whole();
}

TEST_F(RegistryPush, RegistriesThatStayBusyEndAPush) {
  for (const char* method : {"POST", "PUT"}) {
    for (const int status : {429, 503}) {
      lie_ = [&](const ServerRequest& request) -> std::optional<ServerResponse> {
        if (request.method == method) return ServerResponse{.status = status};
        return std::nullopt;
      };
      forget();
      const std::size_t before = server_.requests().size();
      EXPECT_THROW(client().put_blob(repository_, blob_of(layer_), opener(layer_)), base::Error)
          << method << status;
      EXPECT_LT(server_.requests().size() - before, 60U) << method << status;
    }
  }
}

TEST_F(RegistryPush, FailuresThatStayAreFailures) {
  lie_ = [](const ServerRequest& request) -> std::optional<ServerResponse> {
    if (request.method == "PUT") return ServerResponse{.status = 500};
    return std::nullopt;
  };
  EXPECT_EQ(code_of([&] { push(); }), ErrorCode::unavailable);
}

}  // namespace
}  // namespace strake::registry
