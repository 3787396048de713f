#include "registry/mirrors.h"

#include "layers/base/log.h"
#include "tests/registry/client_fixture.h"

namespace strake::registry {
namespace {

using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::error_of;
using testing::ErrorCode;
using testing::FakeRegistry;
using ::testing::HasSubstr;
using testing::kManifestType;
using ::testing::Not;

/// reg.example.com/team is mirrored by one.example.com/cache and two.example.com.
class Mirrored : public testing::ClientTest {
 protected:
  Mirrored() {
    RegistryRule rule{.scope = parse_registry_scope("reg.example.com/team"), .source = "test:1"};
    rule.mirrors = {{.location = parse_registry_scope("one.example.com/cache")},
                    {.location = parse_registry_scope("two.example.com")}};
    options_.registries.add({rule});
  }
  static support::ServerHandler handler(FakeRegistry& registry) {
    return [&](const ServerRequest& request) { return registry(request); };
  }
  void serve_all() {
    http_.serve("https://one.example.com", handler(one_));
    http_.serve("https://two.example.com", handler(two_));
    http_.serve(kOrigin, handler(registry_));
  }
  std::vector<std::string> hosts() const {
    std::vector<std::string> hosts;
    for (const ServerRequest& request : http_.requests())
      hosts.push_back(request.origin.substr(8, 3));
    return hosts;
  }
  oci::Reference tag() const { return {repository_, "1", std::nullopt}; }

  FakeRegistry one_, two_;
  const std::string manifest_ = testing::manifest_json();
};

TEST_F(Mirrored, FirstMirrorThatHasItIsEnough) {
  serve_all();
  one_.add_manifest("cache/app", "1", manifest_, kManifestType);
  EXPECT_EQ(client().resolve(tag()).digest, base::Digest::of(manifest_));
  EXPECT_EQ(client().get_manifest(tag()).bytes, manifest_);
  EXPECT_THAT(http_.lines(), ElementsAre("HEAD https://one.example.com/v2/cache/app/manifests/1",
                                         "GET https://one.example.com/v2/cache/app/manifests/1"));
}

TEST_F(Mirrored, WhatAMirrorLacksIsLookedForAtTheNext) {
  serve_all();
  two_.add_blob("app", "bytes");
  EXPECT_EQ(pull(blob_of("bytes")), "bytes");
  registry_.add_manifest("team/app", "1", manifest_, kManifestType);
  EXPECT_EQ(client().get_manifest(tag()).bytes, manifest_);
  EXPECT_THAT(hosts(), ElementsAre("one", "two", "one", "two", "reg"));
}

TEST_F(Mirrored, WhatAMirrorRefusesIsLookedForAtTheNext) {
  serve_all();
  http_.serve("https://one.example.com",
              [](const ServerRequest&) { return ServerResponse{.status = 403}; });
  http_.serve("https://two.example.com", [](const ServerRequest&) {
    return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
  });
  registry_.add_manifest("team/app", "1", manifest_, kManifestType);
  EXPECT_EQ(client().get_manifest(tag()).bytes, manifest_);
}

TEST_F(Mirrored, AMirrorThatIsDownIsNotAskedForAWhile) {
  serve_all();
  int asked = 0;
  http_.serve("https://one.example.com", [&](const ServerRequest&) {
    ++asked;
    return ServerResponse{.status = 503};
  });
  two_.add_blob("app", "bytes");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(pull(blob_of("bytes")), "bytes");
  EXPECT_EQ(asked, 2);
  now_ += std::chrono::seconds(61);
  EXPECT_EQ(pull(blob_of("bytes")), "bytes");
  EXPECT_EQ(asked, 4);
}

TEST_F(Mirrored, UnreachableMirrorsDoNotMatter) {
  http_.serve(kOrigin, handler(registry_));
  registry_.add_manifest("team/app", "1", manifest_, kManifestType);
  EXPECT_EQ(client().get_manifest(tag()).bytes, manifest_);
}

TEST_F(Mirrored, FalseContentIsWarnedOfAndFetchedElsewhere) {
  std::string log;
  base::set_log_sink(
      [](base::LogLevel level, std::string_view line, void* to) {
        if (level == base::LogLevel::warning) *static_cast<std::string*>(to) += line;
      },
      &log);
  serve_all();
  http_.serve("https://one.example.com",
              [](const ServerRequest&) { return ServerResponse{.body = "false"}; });
  two_.add_blob("app", "bytes");
  EXPECT_EQ(client().read_blob(repository_, blob_of("bytes")), "bytes");
  base::set_log_sink(nullptr, nullptr);
  EXPECT_THAT(log, HasSubstr("mirror \"one.example.com/cache/app\""));
  EXPECT_THAT(log, HasSubstr("has other content"));
}

TEST_F(Mirrored, ErrorTellsOfEachPlace) {
  serve_all();
  http_.serve("https://one.example.com",
              [](const ServerRequest&) { return ServerResponse{.status = 403}; });
  const base::Error error = error_of([&] { client().get_manifest(tag()); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_THAT(error.what(), HasSubstr("cannot fetch manifest of \"reg.example.com/team/app:1\""));
  ASSERT_EQ(error.notes().size(), 2U);
  EXPECT_THAT(error.notes()[0], HasSubstr("mirror \"one.example.com/cache/app\""));
  EXPECT_THAT(error.notes()[0], HasSubstr("403"));
  EXPECT_THAT(error.notes()[1], HasSubstr("mirror \"two.example.com/app\""));
}

TEST_F(Mirrored, ReadsToBeChangedPassMirrorsBy) {
  serve_all();
  one_.add_manifest("cache/app", "1", "{}", kManifestType);
  registry_.add_manifest("team/app", "1", manifest_, kManifestType);
  EXPECT_EQ(client().get_manifest(tag(), {}, Mirrors::passed_by).bytes, manifest_);
  EXPECT_EQ(client().resolve(tag(), {}, Mirrors::passed_by).digest, base::Digest::of(manifest_));
  EXPECT_THAT(hosts(), Each("reg"));
}

TEST_F(Mirrored, NothingIsWrittenToMirrors) {
  serve_all();
  client().check_push_permission(repository_);
  client().put_blob(repository_, blob_of("layer"), opener("layer"));
  client().put_blob(repository_, blob_of("config"), opener("config"));
  client().put_manifest(tag(), manifest_, kManifestType);
  EXPECT_TRUE(client().has_blob(repository_, base::Digest::of("layer")));
  EXPECT_THAT(hosts(), Each("reg"));
}

TEST_F(Mirrored, OtherRepositoriesOfTheRegistryAreNotMirrored) {
  serve_all();
  registry_.add_manifest("other/app", "1", manifest_, kManifestType);
  client().get_manifest({{kHost, "other/app"}, "1", std::nullopt});
  EXPECT_THAT(hosts(), Each("reg"));
}

TEST_F(Mirrored, CredentialsGoToTheirOwnHostOnly) {
  credentials_.set(kHost, {"ana", "secret"});
  const auto demand = [](const ServerRequest& request) {
    return request.header("Authorization").empty()
               ? ServerResponse{.status = 401,
                                .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}}
               : ServerResponse{.status = 404};
  };
  for (const char* origin : {"https://one.example.com", "https://two.example.com", kOrigin})
    http_.serve(origin, demand);
  EXPECT_EQ(code_of([&] { client().get_manifest(tag()); }), ErrorCode::not_found);
  int with_credentials = 0;
  for (const ServerRequest& request : http_.requests()) {
    if (request.header("Authorization").empty()) continue;
    EXPECT_EQ(request.origin, kOrigin);
    ++with_credentials;
  }
  EXPECT_EQ(with_credentials, 1);
}

TEST_F(Mirrored, BlockedRegistriesGetNoPacket) {
  serve_all();
  RegistryRule rule{.scope = {kHost, ""}, .source = "/etc/r.conf:3"};
  rule.blocked = true;
  options_.registries.add({rule});
  for (const auto& error : {error_of([&] { client().get_manifest(tag()); }),
                            error_of([&] { client().check_push_permission(repository_); }),
                            error_of([&] { client().ping(kHost); }),
                            error_of([&] { client().list_tags(repository_); })}) {
    EXPECT_EQ(error.code(), ErrorCode::denied);
    EXPECT_THAT(error.what(), HasSubstr("is blocked: /etc/r.conf:3"));
  }
  EXPECT_TRUE(http_.requests().empty());
}

TEST_F(Mirrored, BlockedMirrorsAreLeftOut) {
  serve_all();
  RegistryRule rule{.scope = {"one.example.com", ""}, .source = "test:2"};
  rule.blocked = true;
  options_.registries.add({rule});
  registry_.add_manifest("team/app", "1", manifest_, kManifestType);
  EXPECT_EQ(client().get_manifest(tag()).bytes, manifest_);
  EXPECT_THAT(hosts(), Not(::testing::Contains("one")));
}

TEST_F(Mirrored, FilesAreReadAtTheFirstRequest) {
  serve_all();
  int reads = 0;
  options_.add_registries = [&](Registries&) { ++reads; };
  Client& lazy = client();
  EXPECT_EQ(reads, 0);
  registry_.add_manifest("team/app", "1", manifest_, kManifestType);
  lazy.get_manifest(tag());
  lazy.get_manifest(tag());
  EXPECT_EQ(reads, 1);
}

TEST_F(Mirrored, PlainHttpIsSpokenWhereItWasDecided) {
  options_.registries.add({{.scope = {"one.example.com", ""}, .connection = {.http = true}}});
  http_.serve("http://one.example.com", handler(one_));
  one_.add_manifest("cache/app", "1", manifest_, kManifestType);
  EXPECT_EQ(client().get_manifest(tag()).bytes, manifest_);
  EXPECT_THAT(http_.lines(), ElementsAre("GET http://one.example.com/v2/cache/app/manifests/1"));
}

TEST_F(Mirrored, TlsIsDemandedOfLoopbackWhereItWasDecided) {
  options_.registries.add({{.scope = {"localhost:5000", ""}, .connection = {.http = false}}});
  http_.serve("http://localhost:5000", handler(one_));
  EXPECT_EQ(code_of([&] {
              client().resolve({{"localhost:5000", "a"}, "1", {}});
            }),
            ErrorCode::unavailable);
  EXPECT_THAT(http_.lines(), Each(HasSubstr("https://localhost:5000")));
}

TEST_F(Mirrored, ConnectionsHoldForTheirPathOnly) {
  options_.registries.add(
      {{.scope = {"one.example.com", "cache"},
        .connection = {.insecure = true, .cert_file = "/c", .key_file = "/k"}}});
  serve_all();
  one_.add_manifest("cache/app", "1", manifest_, kManifestType);
  one_.add_manifest("other/app", "1", manifest_, kManifestType);
  client().get_manifest(tag());
  EXPECT_FALSE(http_.tls().back().verify);
  EXPECT_EQ(http_.tls().back().cert_file, "/c");
  client().get_manifest({{"one.example.com", "other/app"}, "1", std::nullopt});
  EXPECT_TRUE(http_.tls().back().verify);
  EXPECT_EQ(http_.tls().back().cert_file, "");
}

}  // namespace
}  // namespace strake::registry
