#include "builder/context/source_auth.h"

#include <gtest/gtest.h>

#include <map>

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::builder {
namespace {

using dockerfile::parse_git_url;

SourceAccess access_with(std::map<std::string, std::string> secrets) {
  return {.secret = [secrets](std::string_view id) -> std::optional<std::string> {
    const auto found = secrets.find(std::string(id));
    if (found == secrets.end()) return std::nullopt;
    return found->second;
  }};
}

TEST(HttpAuthorization, TakesTheSecretOfTheHost) {
  const SourceAccess access = access_with(
      {{"HTTP_AUTH_TOKEN_example.com", "tok-1234\n"}, {"HTTP_AUTH_HEADER_h2", "Custom abcd"}});
  EXPECT_EQ(http_authorization("https://example.com:8443/x", access), "Bearer tok-1234");
  EXPECT_EQ(http_authorization("https://h2/x", access), "Custom abcd");
  EXPECT_EQ(http_authorization("https://other.example.com/x", access), "");
  EXPECT_EQ(http_authorization("https://example.com/x", SourceAccess()), "");
}

TEST(HttpAuthorization, TakesWhatTheUrlHas) {
  EXPECT_EQ(http_authorization("https://ana:p%40ss@h/x", SourceAccess()), "Basic YW5hOnBAc3M=");
}

TEST(HttpAuthorization, IsNeverLogged) {
  http_authorization("https://h/", access_with({{"HTTP_AUTH_TOKEN_h", "very-secret-token"}}));
  EXPECT_EQ(base::redacted("sent very-secret-token").find("very-secret-token"), std::string::npos);
}

TEST(HttpAuthorization, RefusesASecretOfSeveralLines) {
  EXPECT_THROW(http_authorization("https://h/", access_with({{"HTTP_AUTH_TOKEN_h", "a\r\nX: y"}})),
               base::Error);
}

TEST(GitAuthorization, PrefersTheSecretOfTheHost) {
  const GitUrl url = *parse_git_url("https://h:1/r.git");
  EXPECT_EQ(git_authorization(url, access_with({{"GIT_AUTH_TOKEN", "t0k3n"}})),
            "Basic eC1hY2Nlc3MtdG9rZW46dDBrM24=");
  EXPECT_EQ(git_authorization(
                url, access_with({{"GIT_AUTH_TOKEN", "t0k3n"}, {"GIT_AUTH_HEADER", "Custom all"}})),
            "Custom all");
  EXPECT_EQ(git_authorization(url, access_with({{"GIT_AUTH_HEADER", "Custom all"},
                                                {"GIT_AUTH_HEADER.h:1", "Custom host"}})),
            "Custom host");
  EXPECT_EQ(
      git_authorization(*parse_git_url("git@h:r.git"), access_with({{"GIT_AUTH_TOKEN", "t0k3n"}})),
      "");
}

}  // namespace
}  // namespace strake::builder
