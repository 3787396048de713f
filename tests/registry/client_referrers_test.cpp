#include "registry/index_update.h"
#include "tests/registry/client_fixture.h"
#include "tests/registry/listing_registry.h"

namespace strake::registry::testing {
namespace {

class ClientReferrers : public ClientTest {
 protected:
  ClientReferrers() {
    http_.serve(kOrigin, [this](const ServerRequest& request) { return server_(request); });
    server_.registry.add_blob("team/app", "config");
    server_.registry.add_blob("team/app", "layer");
    subject_ = oci::parse_manifest(manifest_json(), kManifestType).descriptor;
    server_.registry.add_manifest("team/app", "1.0", manifest_json(), kManifestType);
    server_.registry.add_blob("team/app", "{}");
  }

  oci::Document<oci::Manifest> artifact(const std::string& type, const std::string& note = "") {
    const oci::Descriptor empty{"application/vnd.oci.empty.v1+json", base::Digest::of("{}"), 2};
    oci::Manifest manifest{.config = empty, .layers = {empty}};
    manifest.artifact_type = type;
    manifest.subject = subject_;
    if (!note.empty()) manifest.annotations["note"] = note;
    return oci::make_manifest(std::move(manifest));
  }
  void push(const oci::Document<oci::Manifest>& manifest) {
    client().push_referrer(repository_, manifest);
  }
  std::vector<std::string> types(std::string_view type = "") {
    std::vector<std::string> found;
    for (const oci::Descriptor& referrer :
         client().list_referrers(repository_, subject_.digest, type))
      found.push_back(referrer.artifact_type);
    return found;
  }
  std::string fallback_tag() const { return "sha256-" + subject_.digest.hex(); }
  using Types = std::vector<std::string>;

  ListingRegistry server_;
  oci::Descriptor subject_;
};

TEST_F(ClientReferrers, RegistryThatListsThemNeedsNoTag) {
  server_.lists_referrers = true;
  push(artifact("a/sbom"));
  push(artifact("a/signature"));
  EXPECT_EQ(types(), (Types{"a/sbom", "a/signature"}));
  EXPECT_EQ(server_.registry.manifest("team/app", fallback_tag()), "");
}

TEST_F(ClientReferrers, AllPagesAreRead) {
  server_.lists_referrers = true;
  server_.page_size = 2;
  for (const char* note : {"1", "2", "3", "4", "5"}) push(artifact("a/sbom", note));
  EXPECT_EQ(types().size(), 5U);
}

TEST_F(ClientReferrers, TypeIsChosenHereIfTheRegistryDoesNot) {
  server_.lists_referrers = true;
  push(artifact("a/sbom"));
  push(artifact("a/signature"));
  EXPECT_EQ(types("a/signature"), Types{"a/signature"});
  EXPECT_EQ(http_.requests().back().query("artifactType"), "a%2Fsignature");
}

TEST_F(ClientReferrers, OtherRegistriesGetTheTag) {
  push(artifact("a/sbom", "x"));
  push(artifact("a/signature"));
  EXPECT_EQ(types(), (Types{"a/sbom", "a/signature"}));
  EXPECT_EQ(types("a/sbom"), Types{"a/sbom"});
  const std::string index = server_.registry.manifest("team/app", fallback_tag());
  EXPECT_NE(index.find(R"("note": "x")"), std::string::npos) << index;
}

TEST_F(ClientReferrers, PushingOneAgainAddsNothingToTheTag) {
  push(artifact("a/sbom"));
  push(artifact("a/sbom"));
  EXPECT_EQ(types().size(), 1U);
}

TEST_F(ClientReferrers, SubjectThatNothingRefersToHasNone) {
  EXPECT_EQ(types(), Types{});
  server_.lists_referrers = true;
  EXPECT_EQ(types(), Types{});
}

TEST_F(ClientReferrers, PageForPeopleIsNoList) {
  http_.serve(kOrigin, [this](const ServerRequest& request) {
    if (request.path().find("/referrers/") != std::string::npos)
      return ServerResponse{.headers = {{"Content-Type", "text/html"}}, .body = "<html>"};
    return server_(request);
  });
  push(artifact("a/sbom"));
  EXPECT_EQ(types(), Types{"a/sbom"});
}

/// Another writer that read the tag before us writes it after us: our entry is lost, and noticed.
TEST_F(ClientReferrers, LostUpdateOfTheTagIsRepaired) {
  std::string stale;
  options_.environment.sleep = [&](std::chrono::milliseconds, std::stop_token) {
    if (const std::string index = std::exchange(stale, ""); !index.empty())
      server_.registry.add_manifest("team/app", fallback_tag(), index,
                                    std::string(oci::media_type::kOciIndex));
  };
  push(artifact("a/first"));
  stale = server_.registry.manifest("team/app", fallback_tag());
  push(artifact("a/second"));
  EXPECT_EQ(stale, "");
  EXPECT_EQ(types(), (Types{"a/first", "a/second"}));
}

using IndexUpdate = ClientReferrers;

TEST_F(IndexUpdate, ChangeIsMadeAgainWhenItGotLost) {
  const oci::Reference tag{repository_, "index", std::nullopt};
  const std::string other =
      oci::make_index({.manifests = {subject_}, .annotations = {{"other", "1"}}}).bytes;
  IndexUpdateOptions options;
  options.environment = options_.environment;
  int pauses = 0;
  options.environment.sleep = [&](std::chrono::milliseconds, std::stop_token) {
    if (++pauses == 1)
      server_.registry.add_manifest("team/app", "index", other,
                                    std::string(oci::media_type::kOciIndex));
  };
  const auto result = update_index(
      client(), tag, [](oci::Index& index) { index.annotations["own"] = "1"; }, options);
  EXPECT_EQ(result.value.annotations,
            (std::map<std::string, std::string>{{"other", "1"}, {"own", "1"}}));
  EXPECT_EQ(pauses, 2);
}

TEST_F(IndexUpdate, PlainImageIsNotReplaced) {
  const base::Error error = error_of([&] {
    update_index(client(), {repository_, "1.0", std::nullopt}, [](oci::Index&) {});
  });
  EXPECT_EQ(error.code(), ErrorCode::invalid_input);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("not an index"));
}

TEST_F(IndexUpdate, NothingToChangeWritesNothing) {
  const oci::Reference tag{repository_, "index", std::nullopt};
  server_.registry.add_manifest("team/app", "index",
                                oci::make_index({.manifests = {subject_}}).bytes,
                                std::string(oci::media_type::kOciIndex));
  update_index(client(), tag, [](oci::Index&) {});
  EXPECT_EQ(http_.count("PUT"), 0U);
}

TEST_F(IndexUpdate, TagThatNeverComesToRestIsAnError) {
  const oci::Reference tag{repository_, "index", std::nullopt};
  IndexUpdateOptions options{.must_exist = false, .environment = options_.environment};
  options.environment.sleep = [&](std::chrono::milliseconds, std::stop_token) {
    server_.registry.add_manifest("team/app", "index",
                                  oci::make_index({.manifests = {subject_}}).bytes,
                                  std::string(oci::media_type::kOciIndex));
  };
  EXPECT_EQ(code_of([&] {
              update_index(
                  client(), tag, [](oci::Index& index) { index.annotations["own"] = "1"; },
                  options);
            }),
            ErrorCode::unavailable);
}

class ClientDelete : public ClientReferrers {
 protected:
  base::Error error_for(int status, const oci::Reference& name) {
    server_.delete_status = [status](const std::string&) { return status; };
    return error_of([&] { client().delete_manifest(name); });
  }
  const oci::Reference tag_{repository_, "1.0", std::nullopt};
};

TEST_F(ClientDelete, NamesATagOrADigest) {
  client().delete_manifest(tag_);
  client().delete_manifest({repository_, "1.0", subject_.digest});
  EXPECT_EQ(server_.deleted, (std::vector<std::string>{"1.0", subject_.digest.str()}));
}

TEST_F(ClientDelete, RegistryThatDeletesNothingIsNamedAsTheReason) {
  const base::Error error = error_for(405, {repository_, std::nullopt, subject_.digest});
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("the registry does not allow it (405"));
  EXPECT_THAT(error.hint(), ::testing::HasSubstr("configuration"));
}

TEST_F(ClientDelete, RegistryThatDeletesNoTagsIsToldApart) {
  EXPECT_THAT(error_for(400, tag_).hint(), ::testing::HasSubstr("by digest only"));
}

TEST_F(ClientDelete, OtherRefusalsKeepTheirMeaning) {
  EXPECT_EQ(error_for(404, tag_).code(), ErrorCode::not_found);
  EXPECT_EQ(error_for(403, tag_).code(), ErrorCode::denied);
}

}  // namespace
}  // namespace strake::registry::testing
