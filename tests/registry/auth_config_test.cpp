#include "registry/auth_config.h"

#include "registry/base64.h"
#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

TEST(AuthKey, IsReadAsHostAndPath) {
  struct Row {
    const char* key;
    AuthKey want;
  };
  const Row rows[] = {
      {"https://index.docker.io/v1/", {"docker.io", ""}},
      {"https://index.docker.io/v1", {"docker.io", ""}},
      {"index.docker.io", {"docker.io", ""}},
      {"docker.io", {"docker.io", ""}},
      {"registry-1.docker.io", {"docker.io", ""}},
      {"docker.io/team", {"docker.io", "team"}},
      {"reg.example.com", {"reg.example.com", ""}},
      {"REG.example.com:5000", {"reg.example.com:5000", ""}},
      {"https://reg.example.com:5000/v2/", {"reg.example.com:5000", ""}},
      {"http://reg.example.com", {"reg.example.com", ""}},
      {"reg.example.com/a/b", {"reg.example.com", "a/b"}},
      {"https://", {"", ""}},
  };
  for (const Row& row : rows) EXPECT_EQ(parse_auth_key(row.key), row.want) << row.key;
}

TEST(AuthKey, MatchesOnlyTheExactHost) {
  const oci::Repository repository{"x.azurecr.io", "team/app"};
  for (const char* key : {"x.azurecr.io", "https://x.azurecr.io", "x.azurecr.io/team",
                          "x.azurecr.io/team/app", "x.azurecr.io/"}) {
    EXPECT_TRUE(matches(parse_auth_key(key), repository)) << key;
  }
  for (const char* key : {"azurecr.io", "*.azurecr.io", "y.azurecr.io", "x.azurecr.io:443",
                          "x.azurecr.io.attacker.com", "ax.azurecr.io", "x.azurecr.io/tea",
                          "x.azurecr.io/team/app/x", "x.azurecr.io/other", ""}) {
    EXPECT_FALSE(matches(parse_auth_key(key), repository)) << key;
  }
  EXPECT_FALSE(matches(parse_auth_key("h"), {"h:5000", "a"}));
  EXPECT_FALSE(matches(parse_auth_key("h:5000"), {"h", "a"}));
}

TEST(AuthKey, LongestPathWinsThenDockersSpelling) {
  const std::map<std::string, int> entries = {{"h", 1}, {"h/a", 2}, {"h/a/b", 3}, {"https://h", 4}};
  EXPECT_EQ(*best_match(entries, {"h", "a/b/c"}), 3);
  EXPECT_EQ(*best_match(entries, {"h", "a/x"}), 2);
  EXPECT_EQ(*best_match(entries, {"h", "ab"}), 1);
  EXPECT_EQ(best_match(entries, {"other", "a"}), nullptr);
  const std::map<std::string, int> hub = {{"docker.io", 1}, {"https://index.docker.io/v1/", 2}};
  EXPECT_EQ(*best_match(hub, {"docker.io", "library/alpine"}), 2);
}

TEST(AuthConfig, ReadsAllKindsOfEntries) {
  const AuthConfig config = parse_auth_config(
      R"({"auths":{
            "a":{"auth":")" +
          base64_encoded("me:pw:with:colons") + R"("},
            "b":{"username":"me","password":"pw"},
            "c":{"auth":")" +
          base64_encoded(std::string("me:pw\0\0", 7)) + R"("},
            "d":{"identitytoken":"it"},
            "e":{"registrytoken":"rt"},
            "f":{"username":"<token>","password":"refresh"},
            "g":{}},
          "credsStore":"desktop","credHelpers":{"h":"ecr-login"},"HttpHeaders":{"X":"y"}})",
      "config.json");
  EXPECT_EQ(config.auths.at("a"), (Credential{"me", "pw:with:colons"}));
  EXPECT_EQ(config.auths.at("b"), (Credential{"me", "pw"}));
  EXPECT_EQ(config.auths.at("c"), (Credential{"me", "pw"}));
  EXPECT_EQ(config.auths.at("d").identity_token, "it");
  EXPECT_EQ(config.auths.at("e").registry_token, "rt");
  EXPECT_EQ(config.auths.at("f"), (Credential{"<token>", "", "refresh"}));
  EXPECT_FALSE(config.auths.contains("g"));
  EXPECT_EQ(config.credentials_store, "desktop");
  EXPECT_EQ(config.credential_helpers.at("h"), "ecr-login");
}

TEST(AuthConfig, MalformedOnesAreTheUsersToFix) {
  for (const char* json :
       {"", "{", "[]", R"({"auths":[]})", R"({"auths":{"h":"x"}})",
        R"({"auths":{"h":{"auth":"%"}}})", R"({"auths":{"h":{"auth":"bm9jb2xvbg=="}}})",
        R"({"credsStore":5})", R"({"auths":{"h":{"password":7}}})"}) {
    const base::Error error = testing::error_of([&] { parse_auth_config(json, "the.json"); });
    EXPECT_EQ(error.code(), base::ErrorCode::invalid_input) << json;
    EXPECT_THAT(error.what(), ::testing::HasSubstr("the.json")) << json;
  }
}

}  // namespace
}  // namespace strake::registry
