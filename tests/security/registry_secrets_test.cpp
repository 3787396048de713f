// What the user's secrets are seen by: the one server they are for, and no log line or message.

#include <fstream>

#include "registry/base64.h"
#include "registry/transfer.h"
#include "tests/security/registry_fixture.h"

namespace strake::registry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::ServerRequest;
using testing::ServerResponse;

/// Servers that repeat whatever they are told, in every place of an answer.
class RegistrySecrets : public testing::HostileRegistry {
 protected:
  RegistrySecrets() {
    base::set_log_level(base::LogLevel::debug);
    base::set_log_sink(
        [](base::LogLevel, std::string_view line, void* self) {
          auto& test = *static_cast<RegistrySecrets*>(self);
          test.written_.append(line).append("\n");
        },
        this);
  }
  ~RegistrySecrets() override {
    base::set_log_sink(nullptr, nullptr);
    base::set_log_level(base::LogLevel::warning);
  }

  /// All that a user could see of what `action` throws is kept.
  template <typename Action>
  void run(Action action) {
    ++runs_;
    try {
      action();
    } catch (const base::Error& e) {
      ++errors_;
      written_.append(e.what()).append("\n").append(e.hint()).append("\n");
      for (const std::string& text : e.notes()) written_.append(text).append("\n");
      for (const std::string& text : e.context()) written_.append(text).append("\n");
    }
  }

  /// Every verb once.
  void use_everything() {
    const std::string bytes = "some bytes of a blob";
    const oci::Reference tag{repository_, "1", std::nullopt};
    run([&] { client().ping(server_.host()); });
    run([&] { client().check_push_permission(repository_); });
    run([&] { client().resolve(tag); });
    run([&] { client().get_manifest(tag); });
    run([&] { client().read_blob(repository_, blob_of(bytes)); });
    run([&] { client().has_blob(repository_, base::Digest::of(bytes)); });
    run([&] {
      client().mount_blob(repository_, {server_.host(), "base"}, base::Digest::of(bytes));
    });
    run([&] { client().put_blob(repository_, blob_of(bytes), opener(bytes)); });
    run([&] {
      client().put_manifest(tag, testing::manifest_json(testing::descriptor_json("x")),
                            testing::kManifestType);
    });
    run([&] { client().list_tags(repository_); });
    run([&] {
      BlobUploader uploader(client(), repository_);
      push_image(client(), uploader, {{blob_of(bytes), opener(bytes), {}}}, {},
                 {blob_of("{}"), "{}"}, {});
    });
  }

  static std::string echo(const ServerRequest& request) {
    std::string said = request.target + " " + request.body;
    for (const auto& [name, value] : request.headers) said += " " + name + ": " + value;
    return said;
  }
  static std::string as_json(const std::string& text) {
    std::string escaped;
    for (const char c : text) escaped += c == '"' || c == '\\' ? ' ' : c;
    return R"({"errors":[{"code":"DENIED","message":")" + escaped + R"(","detail":")" + escaped +
           "\"}]}";
  }

  void expect_untold() const {
    EXPECT_GT(errors_, 0);
    for (const char* secret : {"c4n4ry", "c4n4r%"}) EXPECT_THAT(written_, Not(HasSubstr(secret)));
    for (const char* text : {"user:c4n4ry-pass&word", "other:c4n4ry"})
      EXPECT_THAT(written_, Not(HasSubstr(base64_encoded(text))));
    EXPECT_THAT(written_, Not(HasSubstr("c4n4ry-pass%26word")));
  }

  std::string written_;
  int runs_ = 0, errors_ = 0;
};

TEST_F(RegistrySecrets, AreNotInMessagesOfServersThatRepeatThem) {
  credentials_.set(server_.host(), {"user", "c4n4ry-pass&word"});
  for (const int status : {400, 401, 403, 404, 407, 429, 500}) {
    for (const bool json : {true, false}) {
      answer_ = [&](const ServerRequest& request) {
        const std::string said = echo(request);
        return ServerResponse{
            .status = request.header("Authorization").empty() ? 401 : status,
            .headers = {{"WWW-Authenticate", "Basic realm=\"" + server_.host() + "\""},
                        {"Retry-After", said.substr(0, 500)},
                        {"Docker-RateLimit-Source", said.substr(0, 200)},
                        {"RateLimit-Remaining", "1"}},
            .body = json ? as_json(said) : said};
      };
      forget();
      use_everything();
    }
  }
  expect_untold();
}

TEST_F(RegistrySecrets, OfTokensAreNotInMessages) {
  struct Row {
    Credential credential;
    bool token_works;
  };
  const Row rows[] = {
      {{"user", "c4n4ry-pass&word"}, true},          {{"user", "c4n4ry-pass&word"}, false},
      {{"<token>", "", "c4n4ry-refresh", ""}, true}, {{"<token>", "", "c4n4ry-refresh", ""}, false},
      {{"", "", "", "c4n4ry-registry-token"}, true},
  };
  for (const Row& row : rows) {
    credentials_.set(server_.host(), row.credential);
    answer_ = [&](const ServerRequest& request) {
      if (request.path() == "/token") {
        if (!row.token_works) return ServerResponse{.status = 401, .body = as_json(echo(request))};
        return ServerResponse{.body = R"({"token":"c4n4ry-token","refresh_token":"c4n4ry-other"})"};
      }
      const bool known = !request.header("Authorization").empty();
      return ServerResponse{
          .status = known ? 403 : 401,
          .headers = {{"WWW-Authenticate", "Bearer realm=\"" + server_.url("/token") +
                                               "\",service=\"s\",scope=\"repository:x:pull\""}},
          .body = as_json(echo(request))};
    };
    forget();
    use_everything();
  }
  expect_untold();
}

TEST_F(RegistrySecrets, OfSignedUrlsAreNotInMessages) {
  const std::string locations[] = {
      "http://127.0.0.1:1/blob?X-Amz-Signature=c4n4ry",
      "http://user:c4n4ry@127.0.0.1:1/blob",
      "http://127.0.0.1:1/%zz?sig=c4n4ry",
      "http://10.0.0.1:1\\x?sig=c4n4ry",
      "https://storage.invalid/?sig=c4n4ry",
      "ftp://storage.invalid/?sig=c4n4ry",
      "/v2/team/app/blobs/uploads/1?_state=c4n4ry",
      "?_state=c4n4ry",
  };
  for (const std::string& location : locations) {
    answer_ = [&](const ServerRequest& request) {
      ServerResponse response{.status = 307, .headers = {{"Location", location}}};
      if (request.method == "POST") response.status = 202;
      if (request.method == "PUT") return ServerResponse{.status = 500, .body = "sorry"};
      if (request.method == "GET" && request.target.find("_state") != std::string::npos)
        response.status = 404;
      return response;
    };
    forget();
    use_everything();
  }
  expect_untold();
}

TEST_F(RegistrySecrets, OfConfigsAreNotInMessages) {
  const std::string auth = base64_encoded("other:c4n4ry");
  for (const std::string& config :
       {"{\"auths\":{\"" + server_.host() + "\":{\"auth\":\"" + auth + "\"",
        "{\"auths\":{\"" + server_.host() + "\":{\"auth\":\"" + auth + "*\"}}}",
        "{\"auths\":{\"" + server_.host() + "\":{\"auth\":\"" + base64_encoded("c4n4ry") + "\"}}}",
        "{\"auths\":{\"" + server_.host() + "\":{\"password\":[\"c4n4ry\"]}}}",
        "{\"auths\":{\"" + server_.host() + "\":\"c4n4ry\"}}", std::string("c4n4ry")}) {
    CredentialSources sources;
    sources.inline_config = config;
    const Credentials credentials(sources);
    answer_ = [](const ServerRequest&) {
      return ServerResponse{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
    };
    Client other(http_, credentials, options_);
    run([&] { other.get_manifest({repository_, "1", {}}); });
  }
  EXPECT_EQ(errors_, runs_);
  expect_untold();
  EXPECT_THAT(written_, Not(HasSubstr(base64_encoded("c4n4ry"))));
}

}  // namespace
}  // namespace strake::registry
