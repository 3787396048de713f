#include "registry/registry_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strake::registry {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HttpResponse response(int status, std::string body) {
  return {.status = status, .headers = {}, .body = std::move(body)};
}

TEST(RegistryError, ReadsTheSpecificationsBody) {
  const auto entries = parse_error_body(
      R"({"errors":[{"code":"DENIED","message":"no","detail":{"Type":"repository"}},{"code":"X"}]})");
  EXPECT_EQ(entries, (std::vector<RegistryErrorEntry>{{"DENIED", "no", R"({"Type":"repository"})"},
                                                      {"X", "", ""}}));
}

TEST(RegistryError, ReadsOtherBodiesAsFarAsPossible) {
  EXPECT_EQ(parse_error_body(R"({"details":"incorrect username or password"})").at(0).message,
            "incorrect username or password");
  for (const char* body : {"", "[]", "null", "{", R"({"errors":"x"})", R"({"errors":[1]})"}) {
    EXPECT_TRUE(parse_error_body(body).empty()) << body;
  }
  EXPECT_EQ(describe(response(502, "Bad Gateway\r\nmore")), "502, Bad Gateway");
  EXPECT_EQ(describe(response(502, "<html>Bad Gateway</html>")), "502");
}

TEST(RegistryError, StatusDecidesTheCode) {
  using base::ErrorCode;
  const std::pair<int, ErrorCode> rows[] = {
      {401, ErrorCode::denied},      {403, ErrorCode::denied},      {404, ErrorCode::not_found},
      {429, ErrorCode::unavailable}, {503, ErrorCode::unavailable}, {400, ErrorCode::unsupported}};
  for (const auto& [status, code] : rows) {
    EXPECT_EQ(registry_error("cannot", response(status, "")).code(), code) << status;
  }
}

TEST(RegistryError, SaysWhatTheRegistrySaid) {
  const base::Error error = registry_error(
      "cannot push to \"h/shop\"",
      response(403, R"({"errors":[{"code":"DENIED","message":"requested access is denied"}]})"));
  EXPECT_STREQ(error.what(),
               "cannot push to \"h/shop\": denied (403, DENIED: requested access is denied)");
}

TEST(RegistryError, WrongContentIsCorrupt) {
  EXPECT_EQ(registry_error("x", response(400, R"({"errors":[{"code":"DIGEST_INVALID"}]})")).code(),
            base::ErrorCode::corrupt);
}

TEST(RegistryError, ControlCharactersAndSecretsAreNotShown) {
  const std::string text =
      describe(response(400, "see https://user:pw@h/x?sig=S3CR3T \x1b[31mred"));
  EXPECT_THAT(text, Not(HasSubstr("S3CR3T")));
  EXPECT_THAT(text, Not(HasSubstr("pw@")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_LT(describe(response(400, std::string(10'000, 'x'))).size(), 400u);
}

TEST(RegistryError, ALongRetryAfterIsShown) {
  HttpResponse limited = response(429, "");
  limited.headers.add("Retry-After", "3600");
  const base::Error error = registry_error("cannot fetch", limited);
  ASSERT_EQ(error.notes().size(), 1u);
  EXPECT_THAT(error.notes()[0], HasSubstr("60 min"));
}

}  // namespace
}  // namespace strake::registry
