#include "tests/registry/client_fixture.h"

namespace strake::registry {
namespace {

using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;
using ::testing::ElementsAre;
using testing::error_of;
using testing::ErrorCode;
using ::testing::HasSubstr;
using testing::kManifestType;

class ClientPush : public testing::ClientTest {
 protected:
  ClientPush() {
    http_.serve(kOrigin, [this](const ServerRequest& request) {
      if (const auto own = script_.find(request.method); own != script_.end()) {
        if (auto response = own->second(request)) return *response;
      }
      return registry_(request);
    });
  }

  using Script = std::function<std::optional<ServerResponse>(const ServerRequest&)>;
  /// What the registry answers to a method instead of being honest; nullopt: honest after all.
  std::map<std::string, Script> script_;

  void put(const std::string& bytes) {
    client().put_blob(repository_, blob_of(bytes), opener(bytes));
  }
};

TEST_F(ClientPush, BlobIsPostedThenPut) {
  put("bytes");
  EXPECT_TRUE(registry_.has_blob("team/app", base::Digest::of("bytes")));
  const auto requests = http_.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].line(), "POST /v2/team/app/blobs/uploads/");
  EXPECT_THAT(requests[1].target,
              ::testing::MatchesRegex("/v2/team/app/blobs/uploads/1.*state=s&digest=sha256%3A.*"));
  EXPECT_EQ(requests[1].header("Content-Type"), "application/octet-stream");
}

TEST_F(ClientPush, EmptyBlobIsFine) {
  put("");
  EXPECT_TRUE(registry_.has_blob("team/app", base::Digest::of("")));
}

TEST_F(ClientPush, UploadLocationMustBeTheRegistrys) {
  const std::pair<const char*, bool> rows[] = {
      {"/v2/up/1", true},
      {"1?x=y", true},
      {"https://reg.example.com/v2/up", true},
      {"http://reg.example.com/v2/up", true},  // a registry that does not know of its TLS proxy
      {"https://evil.com/v2/up", false},
      {"https://reg.example.com:8443/v2/up", false},
      {"https://reg.example.com.evil.com/v2/up", false},
      {"//evil.com/up", false},
      {"file:///etc/passwd", false},
      {"", false},
  };
  for (const auto& [location, good] : rows) {
    script_["POST"] = [&, where = std::string(location)](const ServerRequest&) {
      return ServerResponse{.status = 202, .headers = {{"Location", where}}};
    };
    script_["PUT"] = [](const ServerRequest&) { return ServerResponse{.status = 201}; };
    if (good) {
      EXPECT_NO_THROW(put("x")) << location;
      EXPECT_EQ(http_.requests().back().origin, kOrigin) << location;
    } else {
      EXPECT_THROW(put("x"), base::Error) << location;
      EXPECT_EQ(http_.requests().back().method, "POST") << location;
    }
  }
}

TEST_F(ClientPush, FailedUploadIsStartedAgainWithFreshBytes) {
  int puts = 0;
  script_["PUT"] = [&](const ServerRequest&) -> std::optional<ServerResponse> {
    if (++puts < 3) return ServerResponse{.status = 502};
    return std::nullopt;
  };
  int opened = 0;
  client().put_blob(repository_, blob_of("bytes"), [&](std::uint64_t offset) {
    ++opened;
    return std::make_unique<base::StringSource>("bytes", offset);
  });
  EXPECT_EQ(opened, 3);
  EXPECT_EQ(http_.count("POST"), 3u);
  EXPECT_TRUE(registry_.has_blob("team/app", base::Digest::of("bytes")));
}

TEST_F(ClientPush, UploadWhoseAnswerWasLostIsNotRepeated) {
  script_["PUT"] = [&](const ServerRequest& request) {
    registry_(request);
    return ServerResponse{.status = 500};
  };
  put("bytes");
  EXPECT_EQ(http_.count("PUT"), 1u);
  EXPECT_EQ(http_.count("HEAD"), 1u);
}

TEST_F(ClientPush, LostUploadSessionIsReplaced) {
  int puts = 0;
  script_["PUT"] = [&](const ServerRequest&) -> std::optional<ServerResponse> {
    if (++puts == 1) return ServerResponse{.status = 404};
    return std::nullopt;
  };
  put("bytes");
  EXPECT_EQ(http_.count("POST"), 2u);
}

TEST_F(ClientPush, RefusedUploadIsExplainedAndNotRepeated) {
  script_["POST"] = [](const ServerRequest&) {
    return ServerResponse{.status = 403,
                          .body = R"({"errors":[{"code":"DENIED","message":"read only"}]})"};
  };
  const base::Error error = error_of([&] { put("x"); });
  EXPECT_EQ(error.code(), ErrorCode::denied);
  EXPECT_THAT(error.what(), HasSubstr("DENIED: read only"));
  EXPECT_THAT(error.hint(), HasSubstr("team/app"));
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(ClientPush, BlobThatChangedIsCorrupt) {
  EXPECT_EQ(code_of([&] { client().put_blob(repository_, blob_of("bytes"), opener("Bytes")); }),
            ErrorCode::corrupt);
  EXPECT_EQ(code_of([&] { client().put_blob(repository_, blob_of("bytes"), opener("byte")); }),
            ErrorCode::corrupt);
}

TEST_F(ClientPush, MountIsTakenOrTurnedIntoAnUpload) {
  const base::Digest digest = registry_.add_blob("base/image", "bytes");
  EXPECT_TRUE(client().mount_blob(repository_, {kHost, "base/image"}, digest).mounted);
  EXPECT_TRUE(registry_.has_blob("team/app", digest));

  registry_.refuse_mounts = true;
  const oci::Repository other{kHost, "other"};
  const MountResult result = client().mount_blob(other, {kHost, "base/image"}, digest);
  EXPECT_FALSE(result.mounted);
  ASSERT_TRUE(result.session);
  client().put_blob(other, blob_of("bytes"), opener("bytes"), result.session);
  EXPECT_TRUE(registry_.has_blob("other", digest));
  EXPECT_EQ(http_.count("POST"), 2u);  // the mount's own upload was used
}

TEST_F(ClientPush, RefusedMountIsNoError) {
  for (const int status : {400, 403, 404, 405}) {
    script_["POST"] = [&](const ServerRequest&) { return ServerResponse{.status = status}; };
    const MountResult result =
        client().mount_blob(repository_, {kHost, "b"}, base::Digest::of("x"));
    EXPECT_FALSE(result.mounted) << status;
    EXPECT_FALSE(result.session) << status;
  }
}

TEST_F(ClientPush, PermissionCheckOpensAnUploadToUseOrToCancel) {
  client().put_blob(repository_, blob_of("bytes"), opener("bytes"),
                    client().check_push_permission(repository_));
  EXPECT_TRUE(registry_.has_blob("team/app", base::Digest::of("bytes")));
  EXPECT_EQ(http_.count("POST"), 1u);
}

TEST_F(ClientPush, PermissionCheckIsAnUploadThatIsRefused) {
  client().cancel_upload(repository_, client().check_push_permission(repository_));
  EXPECT_THAT(http_.lines(),
              ElementsAre("POST https://reg.example.com/v2/team/app/blobs/uploads/",
                          "DELETE https://reg.example.com/v2/team/app/blobs/uploads/1?_state=s"));
  script_["POST"] = [](const ServerRequest&) { return ServerResponse{.status = 403}; };
  EXPECT_EQ(code_of([&] { client().check_push_permission(repository_); }), ErrorCode::denied);
}

TEST_F(ClientPush, ManifestIsStoredByteForByteUnderItsTag) {
  registry_.add_blob("team/app", "config");
  registry_.add_blob("team/app", "layer");
  const std::string bytes = testing::manifest_json() + "\n";
  client().put_manifest({repository_, "1.0", std::nullopt}, bytes, kManifestType);
  EXPECT_EQ(registry_.manifest("team/app", "1.0"), bytes);
  client().put_manifest({repository_, std::nullopt, std::nullopt}, bytes, kManifestType);
  EXPECT_EQ(http_.requests().back().path(),
            "/v2/team/app/manifests/" + base::Digest::of(bytes).str());
  EXPECT_EQ(http_.requests().back().header("Content-Type"), kManifestType);
}

TEST_F(ClientPush, ManifestThatNamesMissingBlobsFails) {
  const base::Error error = error_of([&] {
    client().put_manifest({repository_, "1.0", {}}, testing::manifest_json(), kManifestType);
  });
  EXPECT_THAT(error.what(), HasSubstr("MANIFEST_BLOB_UNKNOWN"));
}

TEST_F(ClientPush, RegistryThatComputesAnotherDigestIsNoticed) {
  script_["PUT"] = [](const ServerRequest&) {
    return ServerResponse{.status = 201,
                          .headers = {{"Docker-Content-Digest", base::Digest::of("x").str()}}};
  };
  EXPECT_EQ(
      code_of([&] {
        client().put_manifest({repository_, "1.0", {}}, testing::manifest_json(), kManifestType);
      }),
      ErrorCode::corrupt);
}

TEST_F(ClientPush, ManifestDamagedOnTheWayIsSentAgain) {
  for (const char* code : {"MANIFEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "DIGEST_INVALID"}) {
    int puts = 0;
    script_["PUT"] = [&](const ServerRequest&) {
      if (++puts > 1) return ServerResponse{.status = 201};
      return ServerResponse{.status = 400,
                            .body = std::string(R"({"errors":[{"code":")") + code + "\"}]}"};
    };
    client().put_manifest({repository_, "1.0", {}}, testing::manifest_json(), kManifestType);
    EXPECT_EQ(puts, 2) << code;
  }
}

TEST_F(ClientPush, ImmutableTagWithTheSameContentIsFine) {
  const std::string bytes = testing::manifest_json();
  registry_.add_manifest("team/app", "1.0", bytes, kManifestType);
  script_["PUT"] = [](const ServerRequest&) {
    return ServerResponse{.status = 400, .body = R"({"errors":[{"code":"TAG_INVALID"}]})"};
  };
  EXPECT_NO_THROW(client().put_manifest({repository_, "1.0", {}}, bytes, kManifestType));
  EXPECT_THROW(client().put_manifest({repository_, "1.0", {}}, bytes + " ", kManifestType),
               base::Error);
}

}  // namespace
}  // namespace strake::registry
