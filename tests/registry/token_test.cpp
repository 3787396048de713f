#include "registry/token.h"

#include "registry/base64.h"
#include "tests/registry/expect_error.h"
#include "tests/support/fake_transport.h"

namespace strake::registry {
namespace {

using ::testing::ElementsAre;
using namespace std::chrono_literals;
using support::FakeTransport;
using support::ServerRequest;
using support::ServerResponse;
using testing::code_of;

TEST(TokenParse, TakesEitherNameAndTheLifetime) {
  EXPECT_EQ(parse_token(R"({"token":"t"})").value, "t");
  EXPECT_EQ(parse_token(R"({"access_token":"a"})").value, "a");
  EXPECT_EQ(parse_token(R"({"token":"t","access_token":"a"})").value, "t");
  EXPECT_EQ(parse_token(R"({"token":"t"})").lifetime, 60s);
  EXPECT_EQ(parse_token(R"({"token":"t","expires_in":300})").lifetime, 300s);
  EXPECT_EQ(parse_token(R"({"token":"t","expires_in":-1})").lifetime, 60s);
  EXPECT_EQ(parse_token(R"({"token":"t","expires_in":"soon"})").lifetime, 60s);
}

TEST(TokenParse, RefusesWhatIsNone) {
  for (const char* json : {"", "{}", "[]", R"({"token":""})", R"({"token":5})",
                           R"({"token":"a\r\nX-Evil: 1"})", R"({"token":"a b"})"}) {
    EXPECT_EQ(code_of([&] { parse_token(json); }), base::ErrorCode::corrupt) << json;
  }
}

TEST(TokenScopes, SameResourceIsJoinedAndTheFirstStaysFirst) {
  EXPECT_THAT(merge_scopes({"repository:b:pull"}, {"repository:a:pull", "repository:b:push,pull"}),
              ElementsAre("repository:b:pull,push", "repository:a:pull"));
  EXPECT_THAT(split_scopes(" a:b:c  d:e:f "), ElementsAre("a:b:c", "d:e:f"));
}

struct RealmRow {
  const char* registry;
  const char* realm;
  int outcome;  // 2: credentials, 1: anonymous, 0: refused
};

TEST(TokenRealm, CredentialsGoOnlyToTheRegistrysOwn) {
  const RealmRow rows[] = {
      {"https://registry-1.docker.io", "https://auth.docker.io/token", 2},
      {"https://reg.example.com", "https://reg.example.com/token", 2},
      {"https://reg.example.com", "https://reg.example.com:8443/token", 2},
      {"https://reg.example.com", "https://login.example.com/token", 2},
      {"https://reg.example.co.uk", "https://evil.co.uk/token", 1},
      {"https://x.azurecr.io", "https://x.azurecr.io/oauth2/token", 2},
      {"https://x.azurecr.io", "https://y.azurecr.io/oauth2/token", 1},
      {"https://x.azurecr.io", "https://x.azurecr.io.attacker.com/token", 1},
      {"https://reg.example.com", "https://evil.com/token", 1},
      {"https://reg.example.com", "https://listed.org/token", 2},
      {"https://reg.example.com", "http://reg.example.com/token", 0},
      {"https://reg.example.com", "https://169.254.169.254/latest", 0},
      {"https://reg.example.com", "https://127.0.0.1/token", 0},
      {"https://reg.example.com", "https://localhost/token", 0},
      {"https://reg.example.com", "https://10.1.2.3/token", 0},
      {"https://10.1.2.3", "https://10.1.2.3/token", 2},
      {"https://10.1.2.3", "https://10.1.2.4/token", 0},
      {"http://127.0.0.1:5000", "http://127.0.0.1:5001/token", 2},
      {"http://localhost:5000", "http://127.0.0.1:5001/token", 2},
      {"http://127.0.0.1:5000", "http://127.0.0.2:5000/token", 0},
      {"http://127.0.0.1:5000", "http://169.254.169.254/token", 0},
  };
  for (const RealmRow& row : rows) {
    const auto check = [&] {
      return check_realm(parse_url(row.realm), parse_url(row.registry).origin, {"listed.org"});
    };
    if (row.outcome == 0) {
      EXPECT_EQ(code_of(check), base::ErrorCode::denied) << row.registry << " " << row.realm;
    } else {
      const RealmTrust want = row.outcome == 2 ? RealmTrust::credentials : RealmTrust::anonymous;
      EXPECT_EQ(check(), want) << row.registry << " " << row.realm;
    }
  }
}

class TokenFetch : public ::testing::Test {
 protected:
  Token fetch(const std::optional<Credential>& credential) {
    return fetch_token(http_, request_, credential, {}, {});
  }
  FakeTransport http_;
  TokenRequest request_{parse_url("https://auth.example.com/token?x=y"),
                        "svc",
                        {"repository:a:pull", "repository:b:pull,push"}};
};

TEST_F(TokenFetch, AnonymousGetNamesServiceAndEachScope) {
  http_.serve("https://auth.example.com",
              [](const ServerRequest&) { return ServerResponse{.body = R"({"token":"t"})"}; });
  EXPECT_EQ(fetch(std::nullopt).value, "t");
  EXPECT_THAT(http_.lines(),
              ElementsAre("GET https://auth.example.com/token?x=y&service=svc&scope=repository%3Aa%"
                          "3Apull&scope=repository%3Ab%3Apull%2Cpush"));
  EXPECT_EQ(http_.requests()[0].header("Authorization"), "");
}

TEST_F(TokenFetch, PasswordGoesInABasicHeaderAndThenByPost) {
  http_.serve("https://auth.example.com", [](const ServerRequest& request) {
    if (request.method == "GET") return ServerResponse{.status = 405};
    return ServerResponse{.body = R"({"access_token":"p","expires_in":300})"};
  });
  EXPECT_EQ(fetch(Credential{"me", "p&w"}).value, "p");
  const auto requests = http_.requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].header("Authorization"), "Basic " + base64_encoded("me:p&w"));
  EXPECT_EQ(requests[1].body,
            "grant_type=password&username=me&password=p%26w&service=svc&client_id=strake&"
            "scope=repository%3Aa%3Apull%20repository%3Ab%3Apull%2Cpush");
  EXPECT_EQ(requests[1].header("Content-Type"), "application/x-www-form-urlencoded");
}

TEST_F(TokenFetch, IdentityTokenIsPostedAsRefreshToken) {
  http_.serve("https://auth.example.com",
              [](const ServerRequest&) { return ServerResponse{.body = R"({"token":"t"})"}; });
  fetch(Credential{"<token>", "", "refresh"});
  ASSERT_EQ(http_.requests().size(), 1u);
  EXPECT_THAT(http_.requests()[0].body,
              ::testing::StartsWith("grant_type=refresh_token&refresh_token=refresh&service=svc"));
}

TEST_F(TokenFetch, RefusalIsDeniedAndNotRetried) {
  http_.serve("https://auth.example.com", [](const ServerRequest&) {
    return ServerResponse{.status = 401, .body = R"({"details":"incorrect username or password"})"};
  });
  const base::Error error = testing::error_of([&] { fetch(Credential{"me", "wrong-password"}); });
  EXPECT_EQ(error.code(), base::ErrorCode::denied);
  EXPECT_THAT(error.what(), ::testing::HasSubstr("incorrect username"));
  EXPECT_EQ(http_.requests().size(), 2u);
}

TEST_F(TokenFetch, AnswersAreCapped) {
  std::string body = R"({"token":"t"})";
  http_.serve("https://auth.example.com",
              [&](const ServerRequest&) { return ServerResponse{.body = body}; });
  body.resize(kTokenLimitBytes, ' ');
  EXPECT_NO_THROW(fetch(std::nullopt));
  body += ' ';
  EXPECT_EQ(code_of([&] { fetch(std::nullopt); }), base::ErrorCode::corrupt);
}

TEST_F(TokenFetch, RedirectsAreNotFollowed) {
  http_.serve("https://auth.example.com", [](const ServerRequest&) {
    return ServerResponse{.status = 302, .headers = {{"Location", "https://evil.com/"}}};
  });
  EXPECT_THROW(fetch(Credential{"me", "password"}), base::Error);
  EXPECT_EQ(http_.requests().size(), 1u);
}

TEST(Base64, RoundTrips) {
  const std::pair<const char*, const char*> rows[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : rows) {
    EXPECT_EQ(base64_encoded(plain), encoded);
    EXPECT_EQ(base64_decoded(encoded), plain);
  }
  EXPECT_EQ(base64_decoded("Zg"), "f");
  EXPECT_EQ(base64_decoded("Z"), std::nullopt);
  EXPECT_EQ(base64_decoded("Zm 9v"), std::nullopt);
}

}  // namespace
}  // namespace strake::registry
