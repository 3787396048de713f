// Registries that lead the client elsewhere, to learn what it knows or to reach what they cannot.

#include "registry/base64.h"
#include "tests/security/registry_fixture.h"
#include "tests/support/fake_transport.h"
#include "tests/support/raw_server.h"

namespace strake::registry {
namespace {

using support::FakeTransport;
using support::HttpServer;
using testing::code_of;
using testing::ErrorCode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ServerRequest;
using testing::ServerResponse;

/// A registry that wants a password, and a server at another port that would like to have it.
class RegistryOrigin : public testing::HostileRegistry {
 protected:
  RegistryOrigin() {
    answer_ = [this](const ServerRequest& request) {
      if (request.header("Authorization").empty()) {
        return ServerResponse{.status = 401,
                              .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
      }
      return authorized_(request);
    };
  }

  /// Whatever the other server got, there is no secret in it.
  void expect_nothing_told() const {
    for (const ServerRequest& request : evil_.requests()) {
      EXPECT_EQ(request.header("Authorization"), "");
      EXPECT_EQ(request.header("Cookie"), "");
      EXPECT_THAT(request.target + request.body, ::testing::Not(HasSubstr(kPassword)));
    }
  }

  const std::string bytes_ = "what is to be fetched";
  support::ServerHandler authorized_;
  support::ServerHandler evil_answer_ = [this](const ServerRequest&) {
    return ServerResponse{.body = bytes_};
  };
  HttpServer evil_{[this](const ServerRequest& request) { return evil_answer_(request); }};
};

// Case B05: layers with URLs of their own.
TEST_F(RegistryOrigin, UrlsOfLayersAreNotUsed) {
  for (const char* type : {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                           "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
                           "application/vnd.oci.image.layer.v1.tar"}) {
    std::string layer = testing::descriptor_json(base::Digest::of(bytes_).str(),
                                                 std::to_string(bytes_.size()), type);
    layer.insert(layer.size() - 1, ",\"urls\":[\"" + evil_.url("/blob") + "\"]");
    const std::string manifest = testing::manifest_json(layer);
    authorized_ = [&](const ServerRequest& request) {
      if (request.path().find("/manifests/") == std::string::npos)
        return ServerResponse{.status = 404};
      return ServerResponse{.headers = {{"Content-Type", testing::kManifestType}},
                            .body = manifest};
    };
    const auto document = client().get_manifest({repository_, "1", {}});
    const auto& layers = std::get<oci::Manifest>(document.value).layers;
    ASSERT_EQ(layers.size(), 1U);
    pull(layers[0]);
    EXPECT_EQ(outcome(), ErrorCode::not_found) << type;
  }
  EXPECT_THAT(evil_.requests(), IsEmpty());
}

// Case B07: redirects of every kind.
TEST_F(RegistryOrigin, RedirectsTakeNoCredentialsAlong) {
  struct Row {
    std::string location;
    std::optional<ErrorCode> outcome;  // none: the blob
    std::size_t elsewhere;             // requests to the other server
  };
  const std::string other_name = "http://localhost:" + std::to_string(server_.port());
  const Row rows[] = {
      {evil_.url("/blob?X-Amz-Signature=s"), {}, 1},
      {"//" + evil_.host() + "/blob", {}, 1},
      {"http://localhost:" + std::to_string(evil_.port()) + "/blob", {}, 1},
      {"/moved", {}, 0},
      {"moved", {}, 0},
      {"../../../moved", {}, 0},
      {server_.url("/moved"), {}, 0},
      {"/loop", ErrorCode::corrupt, 0},
      {"/chain/30", ErrorCode::corrupt, 0},
      {"", ErrorCode::corrupt, 0},
      {"file:///etc/passwd", ErrorCode::corrupt, 0},
      {"gopher://" + evil_.host() + "/", ErrorCode::corrupt, 0},
      {"ftp://" + evil_.host() + "/", ErrorCode::corrupt, 0},
      {"HTTP:/" + evil_.host(), ErrorCode::corrupt, 0},
      {"http://user:pw@" + evil_.host() + "/", ErrorCode::corrupt, 0},
      {"http://2130706433:" + std::to_string(evil_.port()) + "/", ErrorCode::corrupt, 0},
      {"http://127.1:" + std::to_string(evil_.port()) + "/", ErrorCode::corrupt, 0},
      {"http://localhost.:" + std::to_string(evil_.port()) + "/", ErrorCode::corrupt, 0},
      {"http://\xef\xbc\x91\x32\x37.0.0.1/", ErrorCode::corrupt, 0},
      {"http://" + evil_.host() + "\\@" + server_.host() + "/", ErrorCode::corrupt, 0},
      {"/" + std::string(1 << 20, 'a'), ErrorCode::corrupt, 0},
      // The same server by another name is another origin.
      {other_name + "/moved", ErrorCode::denied, 0},
  };
  for (const Row& row : rows) {
    authorized_ = [&](const ServerRequest& request) {
      if (request.target == "/loop")
        return ServerResponse{.status = 307, .headers = {{"Location", "/loop"}}};
      if (request.target.starts_with("/chain/")) {
        const int left = std::stoi(request.target.substr(7));
        if (left == 0) return ServerResponse{.body = bytes_};
        return ServerResponse{.status = 302,
                              .headers = {{"Location", "/chain/" + std::to_string(left - 1)}}};
      }
      if (request.target.find("moved") != std::string::npos) return ServerResponse{.body = bytes_};
      return ServerResponse{
          .status = 307,
          .headers = {{"Location", row.location}, {"Set-Cookie", "session=1; Path=/"}}};
    };
    const std::size_t before = evil_.requests().size();
    const std::size_t asked = server_.requests().size();
    const std::string got = pull(blob_of(bytes_));
    const std::string shown = row.location.substr(0, 60);
    EXPECT_EQ(outcome(), row.outcome) << shown;
    EXPECT_TRUE(row.outcome || got == bytes_) << shown;
    EXPECT_EQ(evil_.requests().size() - before, row.elsewhere) << shown;
    // Six a chain; what is wrong is asked for three times, as it may be wrong by accident.
    EXPECT_LE(server_.requests().size() - asked, 3U * 6 + 1) << shown;
  }
  expect_nothing_told();
  for (const ServerRequest& request : server_.requests()) EXPECT_EQ(request.header("Cookie"), "");
}

TEST_F(RegistryOrigin, ChallengesOfOthersAreNotAnswered) {
  authorized_ = [&](const ServerRequest&) {
    return ServerResponse{.status = 307, .headers = {{"Location", evil_.url("/blob")}}};
  };
  for (const std::string& challenge :
       {std::string("Basic realm=\"r\""),
        "Bearer realm=\"" + evil_.url("/token") + "\",service=\"s\",scope=\"repository:a:pull\""}) {
    evil_answer_ = [&](const ServerRequest&) {
      return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", challenge}}};
    };
    const std::size_t before = evil_.requests().size();
    pull(blob_of(bytes_));
    EXPECT_EQ(outcome(), ErrorCode::denied);
    EXPECT_EQ(evil_.requests().size(), before + 1);
  }
  expect_nothing_told();
}

// Case B08: uploads that are to go to somebody else.
TEST_F(RegistryOrigin, UploadsGoToTheRegistryOrNowhere) {
  const auto host = [&] { return std::to_string(evil_.port()); };
  const std::string locations[] = {
      evil_.url("/upload"),
      "//" + evil_.host() + "/upload",
      "http://localhost:" + std::to_string(server_.port()) + "/upload",
      "http://" + server_.host() + "@" + evil_.host() + "/upload",
      "https://" + server_.host() + "/upload",
      "http://127.0.0.1.:" + host() + "/upload",
      "file:///tmp/upload",
      "",
      "http://",
  };
  for (const std::string& location : locations) {
    authorized_ = [&](const ServerRequest& request) {
      if (request.method == "POST")
        return ServerResponse{.status = 202, .headers = {{"Location", location}}};
      return ServerResponse{.status = 404};
    };
    EXPECT_THROW(client().put_blob(repository_, blob_of(bytes_), opener(bytes_)), base::Error)
        << location;
    EXPECT_THROW(client().check_push_permission(repository_), base::Error) << location;
    EXPECT_THROW(client().mount_blob(repository_, {server_.host(), "base"}, base::Digest::of("x")),
                 base::Error)
        << location;
  }
  EXPECT_THAT(evil_.requests(), IsEmpty());
  for (const ServerRequest& request : server_.requests()) EXPECT_NE(request.body, bytes_);
}

TEST_F(RegistryOrigin, RedirectsOfUploadsAreNotFollowed) {
  for (const int status : {301, 302, 303, 307, 308}) {
    for (const char* method : {"POST", "PUT"}) {
      authorized_ = [&](const ServerRequest& request) {
        if (request.method == method)
          return ServerResponse{.status = status, .headers = {{"Location", evil_.url("/")}}};
        if (request.method == "POST")
          return ServerResponse{.status = 202, .headers = {{"Location", "/v2/team/app/up/1"}}};
        return ServerResponse{.status = 404};
      };
      EXPECT_THROW(client().put_blob(repository_, blob_of(bytes_), opener(bytes_)), base::Error)
          << method << status;
      const std::string manifest = testing::manifest_json(testing::descriptor_json("x"));
      EXPECT_THROW(client().put_manifest({repository_, "1", {}}, manifest, testing::kManifestType),
                   base::Error)
          << method << status;
      if (method == std::string("POST")) authorized_ = {};
    }
  }
  EXPECT_THAT(evil_.requests(), IsEmpty());
}

struct RealmRow {
  const char* realm;
  bool asked;        // the token server gets a request …
  bool credentials;  // … that says who the user is
};

// Case B06: token servers that are none of the registry's.
TEST(RegistryRealm, GetsAPasswordOnlyIfItIsTheRegistrys) {
  const RealmRow rows[] = {
      {"https://reg.example.com/token", true, true},
      {"https://auth.example.com/token", true, true},
      {"https://listed.org/token", true, true},
      {"https://evil.com/token", true, false},
      {"https://example.com.evil.com/token", true, false},
      {"https://notexample.com/token", true, false},
      {"https://reg.example.com.evil.com/token", true, false},
      {"http://reg.example.com/token", false, false},
      {"http://auth.example.com/token", false, false},
      {"http://169.254.169.254/latest/meta-data/iam", false, false},
      {"https://169.254.169.254/latest/meta-data/iam", false, false},
      {"https://[fd00:ec2::254]/latest", false, false},
      {"https://[::ffff:169.254.169.254]/latest", false, false},
      {"https://[64:ff9b::a9fe:a9fe]/latest", false, false},
      {"https://[2002:7f00:1::]/latest", false, false},
      {"https://192.0.0.192/latest", false, false},
      {"https://100.100.100.200/latest", false, false},
      {"http://127.0.0.1/token", false, false},
      {"https://127.0.0.1/token", false, false},
      {"https://localhost/token", false, false},
      {"https://localhost./token", false, false},
      {"https://x.localhost/token", false, false},
      {"https://[::1]/token", false, false},
      {"https://0.0.0.0/token", false, false},
      {"https://10.0.0.1/token", false, false},
      {"https://2130706433/token", false, false},
      {"https://0x7f.1/token", false, false},
      {"https://0177.0.0.1/token", false, false},
      {"file:///etc/passwd", false, false},
      {"gopher://reg.example.com/", false, false},
      {"https://user:pw@reg.example.com/token", false, false},
      {"https://reg.example.com@evil.com/token", false, false},
      {"https://reg.example.com\\@evil.com/token", false, false},
      {"https://re\xcc\x81g.example.com/token", false, false},
      {"https://auth\xe3\x80\x82"
       "example.com/token",
       false, false},
      {"https://reg.example.com:0/token", false, false},
      {"https://reg.example.com:99999/token", false, false},
      {"/token", false, false},
      {"//evil.com/token", false, false},
      {"", false, false},
  };
  for (const RealmRow& row : rows) {
    FakeTransport http;
    const std::string challenge = "Bearer realm=\"" + std::string(row.realm) +
                                  "\",service=\"s\",scope=\"repository:team/app:pull\"";
    http.serve("https://reg.example.com", [&](const ServerRequest& request) {
      if (request.target.starts_with("/token")) return ServerResponse{.body = R"({"token":"t"})"};
      return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", challenge}}};
    });
    for (const char* origin :
         {"https://auth.example.com", "https://listed.org", "https://evil.com",
          "https://example.com.evil.com", "https://notexample.com",
          "https://reg.example.com.evil.com", "http://169.254.169.254", "http://127.0.0.1"}) {
      http.serve(origin,
                 [](const ServerRequest&) { return ServerResponse{.body = R"({"token":"t"})"}; });
    }
    Credentials credentials;
    credentials.set("reg.example.com", {"user", "c4n4ry-password"});
    ClientOptions options;
    options.certificate_directories = {};
    options.trusted_realm_hosts = {"listed.org"};
    options.retry.attempts = 1;
    Client client(http, credentials, options);
    EXPECT_THROW(client.get_manifest({{"reg.example.com", "team/app"}, "1", {}}), base::Error);
    bool asked = false;
    bool told = false;
    for (const ServerRequest& request : http.requests()) {
      const bool registry =
          request.origin == "https://reg.example.com" && request.target.starts_with("/v2/");
      const std::string said = request.header("Authorization") + request.target + request.body;
      if (registry) {
        EXPECT_THAT(said, ::testing::Not(HasSubstr("Basic"))) << row.realm;
      } else {
        asked = true;
        told |= said.find("Basic") != said.npos || said.find("user") != said.npos;
      }
    }
    EXPECT_EQ(asked, row.asked) << row.realm;
    EXPECT_EQ(told, row.credentials) << row.realm;
  }
}

// Case B09: names that end or begin like a registry's.
TEST(RegistryCredentials, AreForExactlyOneHost) {
  struct Row {
    const char* key;
    const char* host;
    bool match;
  };
  const Row rows[] = {
      {"x.azurecr.io", "x.azurecr.io", true},
      {"x.azurecr.io", "x.azurecr.io.attacker.com", false},
      {"x.azurecr.io", "y.x.azurecr.io", false},
      {"x.azurecr.io", "ax.azurecr.io", false},
      {"azurecr.io", "x.azurecr.io", false},
      {".azurecr.io", "x.azurecr.io", false},
      {"*.azurecr.io", "x.azurecr.io", false},
      {"*", "x.azurecr.io", false},
      {"", "x.azurecr.io", false},
      {"https://", "x.azurecr.io", false},
      {"x.azurecr.io", "x.azurecr.io:443", false},
      {"x.azurecr.io:5000", "x.azurecr.io", false},
      {"x.azurecr.io:5000", "x.azurecr.io:50001", false},
      {"123.dkr.ecr.eu-west-1.amazonaws.com", "124.dkr.ecr.eu-west-1.amazonaws.com", false},
      {"gcr.io", "eu.gcr.io", false},
  };
  for (const Row& row : rows) {
    CredentialSources sources;
    sources.inline_config = std::string("{\"auths\":{\"") + row.key + "\":{\"auth\":\"" +
                            base64_encoded("user:c4n4ry") + "\"}}}";
    const Credentials credentials(sources);
    EXPECT_EQ(credentials.find({row.host, "team/app"}).has_value(), row.match)
        << row.key << " " << row.host;
  }
}

// Case B10: keys of config files in all their spellings.
TEST(RegistryCredentials, OfConfigsAreFoundByTheirRegistry) {
  struct Row {
    const char* key;
    const char* host;
    const char* path;
    bool match;
  };
  const Row rows[] = {
      {"https://index.docker.io/v1/", "docker.io", "library/alpine", true},
      {"https://index.docker.io/v2/", "docker.io", "library/alpine", true},
      {"index.docker.io", "docker.io", "library/alpine", true},
      {"docker.io", "docker.io", "library/alpine", true},
      {"registry-1.docker.io", "docker.io", "library/alpine", true},
      {"docker.io/library", "docker.io", "library/alpine", true},
      {"docker.io/librar", "docker.io", "library/alpine", false},
      {"docker.io/library/alpine", "docker.io", "library/alpine", true},
      {"docker.io/library/alpine/edge", "docker.io", "library/alpine", false},
      {"hub.docker.com", "docker.io", "library/alpine", false},
      {"https://host:5000/v2/", "host:5000", "a", true},
      {"http://host:5000", "host:5000", "a", true},
      {"HOST:5000", "host:5000", "a", true},
      {"host:5000/", "host:5000", "a", true},
      {"host", "host:5000", "a", false},
      {"host:5000/team", "host:5000", "team/app", true},
      {"host:5000/team", "host:5000", "teams/app", false},
      {"host:5000/team/../other", "host:5000", "other/app", false},
      {"user@host:5000", "host:5000", "a", false},
      {"host:5000?x=y", "host:5000", "a", false},
      {"host:5000#x", "host:5000", "a", false},
  };
  for (const Row& row : rows) {
    CredentialSources sources;
    sources.inline_config = std::string("{\"auths\":{\"") + row.key + "\":{\"auth\":\"" +
                            base64_encoded("user:c4n4ry") + "\"}}}";
    const Credentials credentials(sources);
    EXPECT_EQ(credentials.find({row.host, row.path}).has_value(), row.match)
        << row.key << " " << row.host << "/" << row.path;
  }
}

}  // namespace
}  // namespace strake::registry
