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

class ClientPull : public testing::ClientTest {
 protected:
  oci::Reference tag(const std::string& name) const { return {repository_, name, std::nullopt}; }
  void serve(support::ServerHandler handler) { http_.serve(kOrigin, std::move(handler)); }
  void serve_registry() {
    serve([this](const ServerRequest& request) { return registry_(request); });
  }

  const std::string manifest_ = testing::manifest_json();
};

TEST_F(ClientPull, ResolvesByHeadAlone) {
  serve_registry();
  registry_.add_manifest("team/app", "1.0", manifest_, kManifestType);
  const oci::Descriptor got = client().resolve(tag("1.0"));
  EXPECT_EQ(got, (oci::Descriptor{kManifestType, base::Digest::of(manifest_), manifest_.size()}));
  EXPECT_THAT(http_.lines(), ElementsAre("HEAD https://reg.example.com/v2/team/app/manifests/1.0"));
  for (const char* type :
       {"image.index.v1", "image.manifest.v1", "manifest.list.v2", "distribution.manifest.v2"}) {
    EXPECT_THAT(http_.requests()[0].header("Accept"), HasSubstr(type));
  }
}

TEST_F(ClientPull, ResolveFallsBackToGet) {
  struct Row {
    const char* what;
    ServerResponse head;
  };
  const std::string digest = base::Digest::of(manifest_).str();
  const Row rows[] = {
      {"HEAD not allowed", {.status = 405}},
      {"HEAD forbidden", {.status = 403}},
      {"no digest", {.headers = {{"Content-Type", kManifestType}, {"Content-Length", "9"}}}},
      {"digest of another algorithm",
       {.headers = {{"Content-Type", kManifestType},
                    {"Content-Length", "9"},
                    {"Docker-Content-Digest", "sha512:00"}}}},
      {"no useful type",
       {.headers = {{"Content-Type", "application/json"},
                    {"Content-Length", "9"},
                    {"Docker-Content-Digest", digest}}}},
  };
  for (const Row& row : rows) {
    serve([&](const ServerRequest& request) {
      if (request.method == "HEAD") return row.head;
      return ServerResponse{.headers = {{"Content-Type", kManifestType}}, .body = manifest_};
    });
    EXPECT_EQ(client().resolve(tag("1.0")).digest.str(), digest) << row.what;
  }
}

TEST_F(ClientPull, AbsentTagIsNotFoundAfterOneRequest) {
  serve_registry();
  const base::Error error = error_of([&] { client().resolve(tag("none")); });
  EXPECT_EQ(error.code(), ErrorCode::not_found);
  EXPECT_THAT(error.what(), HasSubstr("reg.example.com/team/app:none"));
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(ClientPull, DigestWinsOverTag) {
  serve_registry();
  registry_.add_manifest("team/app", "1.0", manifest_, kManifestType);
  const auto document =
      client().get_manifest({repository_, "other-tag", base::Digest::of(manifest_)});
  EXPECT_EQ(document.bytes, manifest_);
  EXPECT_EQ(std::get<oci::Manifest>(document.value).layers.size(), 1u);
}

TEST_F(ClientPull, ManifestWithAnotherDigestIsRefused) {
  serve([&](const ServerRequest&) {
    return ServerResponse{.headers = {{"Content-Type", kManifestType}}, .body = manifest_};
  });
  EXPECT_EQ(code_of([&] {
              client().get_manifest({repository_, std::nullopt, base::Digest::of("other")});
            }),
            ErrorCode::corrupt);
}

TEST_F(ClientPull, LyingDigestHeaderOfATagIsRefused) {
  serve([&](const ServerRequest&) {
    return ServerResponse{.headers = {{"Content-Type", kManifestType},
                                      {"Docker-Content-Digest", base::Digest::of("x").str()}},
                          .body = manifest_};
  });
  EXPECT_EQ(code_of([&] { client().get_manifest(tag("1.0")); }), ErrorCode::corrupt);
}

TEST_F(ClientPull, ManifestDamagedOnTheWayIsAskedForAgain) {
  registry_.add_manifest("team/app", "1.0", manifest_, kManifestType);
  const oci::Reference by_digest{repository_, std::nullopt, base::Digest::of(manifest_)};
  for (const oci::Reference& reference : {tag("1.0"), by_digest}) {
    int requests = 0;
    serve([&](const ServerRequest& request) {
      ServerResponse response = registry_(request);
      if (++requests == 1) response.body[5] ^= 1;
      if (requests == 2) response.body = "<html>";
      return response;
    });
    EXPECT_EQ(client().get_manifest(reference).bytes, manifest_);
    EXPECT_EQ(requests, 3);
  }
}

TEST_F(ClientPull, WebPagesInPlaceOfAManifestMayPass) {
  registry_.add_manifest("team/app", "1.0", manifest_, kManifestType);
  serve([&, pages = 3](const ServerRequest& request) mutable {
    if (pages-- == 0) return registry_(request);
    return ServerResponse{.headers = {{"Content-Type", "text/html; charset=utf-8"}},
                          .body = "<html>Sorry</html>"};
  });
  EXPECT_EQ(client().get_manifest(tag("1.0")).bytes, manifest_);
}

TEST_F(ClientPull, ManifestThatIsWrongTwiceIsWrong) {
  int requests = 0;
  serve([&](const ServerRequest&) {
    ++requests;
    return ServerResponse{.headers = {{"Content-Type", kManifestType}}, .body = "{}"};
  });
  const oci::Reference reference{repository_, std::nullopt, base::Digest::of(manifest_)};
  EXPECT_EQ(code_of([&] { client().get_manifest(reference); }), ErrorCode::corrupt);
  EXPECT_EQ(requests, 2);
}

TEST_F(ClientPull, ManifestMustHaveTheSizeOfItsDescriptor) {
  serve_registry();
  registry_.add_manifest("team/app", "1.0", manifest_, kManifestType);
  oci::Descriptor descriptor{kManifestType, base::Digest::of(manifest_), manifest_.size()};
  EXPECT_NO_THROW(client().get_manifest(repository_, descriptor));
  for (const std::uint64_t size : {manifest_.size() - 1, manifest_.size() + 1, std::size_t{0}}) {
    descriptor.size = size;
    EXPECT_EQ(code_of([&] { client().get_manifest(repository_, descriptor); }), ErrorCode::corrupt);
  }
}

TEST_F(ClientPull, ManifestTypeMustBeItsDescriptors) {
  serve_registry();
  registry_.add_manifest("team/app", "1.0", manifest_, kManifestType);
  const oci::Descriptor descriptor{std::string(oci::media_type::kOciIndex),
                                   base::Digest::of(manifest_), manifest_.size()};
  EXPECT_EQ(code_of([&] { client().get_manifest(repository_, descriptor); }), ErrorCode::corrupt);
}

TEST_F(ClientPull, ManifestOfFourMebibytesIsTheLimit) {
  std::string body = manifest_;
  serve([&](const ServerRequest&) {
    return ServerResponse{.headers = {{"Content-Type", kManifestType}}, .body = body};
  });
  body.resize(kManifestLimitBytes, ' ');
  EXPECT_NO_THROW(client().get_manifest(tag("1.0")));
  body += ' ';
  EXPECT_EQ(code_of([&] { client().get_manifest(tag("1.0")); }), ErrorCode::corrupt);
}

TEST_F(ClientPull, DockerHubHasAnApiHostOfItsOwn) {
  http_.serve("https://registry-1.docker.io", [&](const ServerRequest&) {
    return ServerResponse{.headers = {{"Content-Type", kManifestType}}, .body = manifest_};
  });
  client().get_manifest(oci::parse_reference("alpine"));
  EXPECT_THAT(http_.lines(), ElementsAre("GET https://registry-1.docker.io/v2/library/alpine/"
                                         "manifests/latest"));
}

TEST_F(ClientPull, BlobIsStreamedAndVerified) {
  serve_registry();
  for (const std::size_t size : {0u, 1u, 5000u}) {
    const std::string bytes = text_of_size(size);
    registry_.add_blob("team/app", bytes);
    EXPECT_EQ(pull(blob_of(bytes)), bytes);
  }
}

TEST_F(ClientPull, BlobWithOtherContentIsRefused) {
  serve([](const ServerRequest&) { return ServerResponse{.body = "abcd"}; });
  EXPECT_EQ(code_of([&] { pull(blob_of("abce")); }), ErrorCode::corrupt);
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(ClientPull, BlobSizeIsChecked) {
  std::string claimed;
  serve([&](const ServerRequest&) {
    ServerResponse response{.body = "abcd"};
    if (!claimed.empty()) response.headers.emplace_back("Content-Length", claimed);
    return response;
  });
  oci::Descriptor blob = blob_of("abcd");
  for (const std::uint64_t size : {0ull, 3ull, 5ull, 1ull << 63}) {
    blob.size = size;
    claimed = "";  // an honest length: refused before the first byte
    EXPECT_EQ(code_of([&] { pull(blob); }), ErrorCode::corrupt) << size;
    claimed = std::to_string(size);  // a lie: refused when it shows
    EXPECT_EQ(code_of([&] { pull(blob); }), ErrorCode::corrupt) << size;
  }
}

TEST_F(ClientPull, SinkNeverGetsMoreThanTheSize) {
  serve([](const ServerRequest&) {
    return ServerResponse{.headers = {{"Content-Length", "1500"}}, .body = std::string(5000, 'x')};
  });
  base::StringSink sink;
  EXPECT_THROW(client().get_blob(repository_, blob_of(std::string(1500, 'x')), sink), base::Error);
  EXPECT_LE(sink.text.size(), 1500u);
}

TEST_F(ClientPull, BrokenDownloadIsResumedWhereItEnded) {
  const std::string bytes = text_of_size(9000);
  serve([&](const ServerRequest& request) {
    const std::string range = request.header("Range");
    if (range.empty()) return ServerResponse{.body = bytes, .cut_after = 3500};
    EXPECT_EQ(range, "bytes=3500-");
    return ServerResponse{.status = 206,
                          .headers = {{"Content-Range", "bytes 3500-8999/9000"}},
                          .body = bytes.substr(3500)};
  });
  EXPECT_EQ(pull(blob_of(bytes)), bytes);
  EXPECT_EQ(http_.requests().size(), 2u);
  EXPECT_EQ(sleeps_, 1);
}

TEST_F(ClientPull, ServerWithoutRangesIsReadAgainFromTheBeginning) {
  const std::string bytes = text_of_size(9000);
  int requests = 0;
  serve([&](const ServerRequest&) {
    ServerResponse response{.body = bytes};
    if (++requests < 4) response.cut_after = 2000 * requests;
    return response;
  });
  EXPECT_EQ(pull(blob_of(bytes)), bytes);
}

TEST_F(ClientPull, WrongRangesLeadToAWholeDownload) {
  const std::string bytes = text_of_size(9000);
  const ServerResponse rows[] = {
      {.status = 206, .headers = {{"Content-Range", "bytes 0-8999/9000"}}, .body = bytes},
      {.status = 206,
       .headers = {{"Content-Range", "bytes 3500-8999/9001"}},
       .body = bytes.substr(3500)},
      {.status = 206,
       .headers = {{"Content-Range", "bytes 3500-8000/9000"}},
       .body = bytes.substr(3500)},
      {.status = 206,
       .headers = {{"Content-Type", "multipart/byteranges; boundary=x"}},
       .body = "--x"},
      {.status = 416},
  };
  for (const ServerResponse& row : rows) {
    int requests = 0;
    serve([&](const ServerRequest& request) {
      if (!request.header("Range").empty()) return row;
      ServerResponse response{.body = bytes};
      if (++requests == 1) response.cut_after = 3500;
      return response;
    });
    EXPECT_EQ(pull(blob_of(bytes)), bytes) << row.status << row.headers[0].second;
    EXPECT_EQ(requests, 2);
  }
}

TEST_F(ClientPull, ResumedBytesAreVerifiedTogether) {
  const std::string bytes = text_of_size(9000);
  serve([&](const ServerRequest& request) {
    if (request.header("Range").empty()) return ServerResponse{.body = bytes, .cut_after = 3500};
    return ServerResponse{.status = 206,
                          .headers = {{"Content-Range", "bytes 3500-8999/9000"}},
                          .body = std::string(5500, 'x')};
  });
  EXPECT_EQ(code_of([&] { pull(blob_of(bytes)); }), ErrorCode::corrupt);
}

TEST_F(ClientPull, UnreachableRegistryIsTriedSixTimes) {
  serve([](const ServerRequest&) { return ServerResponse{.status = 503}; });
  EXPECT_EQ(code_of([&] { client().get_manifest(tag("1")); }), ErrorCode::unavailable);
  EXPECT_EQ(http_.requests().size(), 6u);
  EXPECT_EQ(code_of([&] {
              client().get_manifest({{"nowhere.example.com", "a"}, "1", {}});
            }),
            ErrorCode::unavailable);
  EXPECT_EQ(http_.requests().size(), 12u);
}

TEST_F(ClientPull, RegistryThatAnsweredIsWaitedForLonger) {
  registry_.add_manifest("team/app", "1", manifest_, kManifestType);
  serve_registry();
  client().get_manifest(tag("1"));
  int down = 8;  // so many requests long
  serve([&](const ServerRequest& request) {
    return down-- > 0 ? ServerResponse{.status = 503} : registry_(request);
  });
  EXPECT_NO_THROW(client().get_manifest(tag("1")));
  down = 9;
  EXPECT_EQ(code_of([&] { client().get_manifest(tag("1")); }), ErrorCode::unavailable);
}

TEST_F(ClientPull, TooManyRequestsIsWaitedForOrExplained) {
  std::string after = "30";
  int requests = 0;
  serve([&](const ServerRequest&) {
    if (++requests == 1) return ServerResponse{.status = 429, .headers = {{"Retry-After", after}}};
    return ServerResponse{.headers = {{"Content-Type", kManifestType}}, .body = manifest_};
  });
  EXPECT_NO_THROW(client().get_manifest(tag("1")));
  EXPECT_GE(now_.time_since_epoch(), std::chrono::seconds(30));
  after = "99999999";
  requests = 0;
  const base::Error error = error_of([&] { client().get_manifest(tag("1")); });
  EXPECT_EQ(error.code(), ErrorCode::unavailable);
  EXPECT_THAT(error.notes()[0], HasSubstr("1158 days"));
  EXPECT_EQ(requests, 1);
}

TEST_F(ClientPull, OtherRefusalsAreNotRepeated) {
  serve([](const ServerRequest&) { return ServerResponse{.status = 400, .body = "bad"}; });
  EXPECT_THROW(client().get_manifest(tag("1")), base::Error);
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST_F(ClientPull, StoppingEndsIt) {
  serve_registry();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(code_of([&] { client().get_manifest(tag("1"), stop.get_token()); }),
            ErrorCode::cancelled);
}

TEST_F(ClientPull, ReadBlobRefusesLargeOnesWithoutARequest) {
  oci::Descriptor blob = blob_of("x");
  blob.size = kConfigLimitBytes + 1;
  EXPECT_EQ(code_of([&] { client().read_blob(repository_, blob); }), ErrorCode::corrupt);
  EXPECT_TRUE(http_.requests().empty());
}

TEST_F(ClientPull, HasBlobIsFalseWhereTheRegistryDoesNotSay) {
  int status = 200;
  serve([&](const ServerRequest&) { return ServerResponse{.status = status}; });
  for (const auto& [answer, want] :
       {std::pair{200, true}, {404, false}, {403, false}, {405, false}}) {
    status = answer;
    EXPECT_EQ(client().has_blob(repository_, base::Digest::of("x")), want) << answer;
  }
}

TEST_F(ClientPull, TagListsGoOverPages) {
  serve([](const ServerRequest& request) {
    if (request.query("last").empty()) {
      return ServerResponse{
          .headers = {{"Link", "</v2/team/app/tags/list?n=1000&last=b>; rel=\"next\""}},
          .body = R"({"name":"team/app","tags":["a","b"]})"};
    }
    return ServerResponse{.body = R"({"tags":["c"]})"};
  });
  EXPECT_THAT(client().list_tags(repository_), ElementsAre("a", "b", "c"));
}

TEST_F(ClientPull, LoopbackRegistriesMayBePlainHttp) {
  http_.serve("http://localhost:5000", [&](const ServerRequest& r) { return registry_(r); });
  registry_.add_manifest("a", "1", manifest_, kManifestType);
  EXPECT_NO_THROW(client().get_manifest({{"localhost:5000", "a"}, "1", {}}));
  EXPECT_THAT(http_.lines(), ElementsAre("GET http://localhost:5000/v2/",
                                         "GET http://localhost:5000/v2/a/manifests/1"));
}

TEST_F(ClientPull, LoopbackRegistriesWithTlsAreFound) {
  http_.serve("http://localhost:5000", [](const ServerRequest&) {
    return ServerResponse{.status = 400, .body = "Client sent an HTTP request to an HTTPS server."};
  });
  http_.serve("https://localhost:5000", [&](const ServerRequest& r) { return registry_(r); });
  registry_.add_manifest("a", "1", manifest_, kManifestType);
  EXPECT_NO_THROW(client().get_manifest({{"localhost:5000", "a"}, "1", {}}));
  EXPECT_TRUE(http_.tls().back().verify);
}

TEST_F(ClientPull, OtherRegistriesAreNeverSpokenToInPlainHttp) {
  http_.serve("http://reg.example.com", [&](const ServerRequest& r) { return registry_(r); });
  EXPECT_EQ(code_of([&] { client().resolve(tag("1")); }), ErrorCode::unavailable);
  for (const std::string& line : http_.lines()) EXPECT_THAT(line, HasSubstr("https://"));
}

TEST_F(ClientPull, InsecureRegistriesAreTriedWithTlsFirst) {
  options_.registries.add(insecure_registries({kHost}, "test"));
  http_.serve("http://reg.example.com", [&](const ServerRequest& r) { return registry_(r); });
  registry_.add_manifest("team/app", "1", manifest_, kManifestType);
  EXPECT_NO_THROW(client().get_manifest(tag("1")));
  EXPECT_THAT(http_.lines(),
              ElementsAre("GET https://reg.example.com/v2/", "GET http://reg.example.com/v2/",
                          "GET http://reg.example.com/v2/team/app/manifests/1"));
  EXPECT_FALSE(http_.tls()[0].verify);
}

}  // namespace
}  // namespace strake::registry
