#include "registry/auth_challenge.h"

#include <gtest/gtest.h>

namespace strake::registry {
namespace {

using Challenges = std::vector<AuthChallenge>;

TEST(AuthChallenge, ReadsBearerWithQuotedParameters) {
  const Challenges got = parse_challenges(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push")");
  EXPECT_EQ(got, (Challenges{{"bearer",
                              {{"realm", "https://auth.docker.io/token"},
                               {"service", "registry.docker.io"},
                               {"scope", "repository:a/b:pull,push"}}}}));
}

TEST(AuthChallenge, SeparatesSeveralChallengesOfOneField) {
  struct Row {
    const char* field;
    Challenges want;
  };
  const Row rows[] = {
      {R"(Basic realm="r", Bearer realm="u",service=s)",
       {{"basic", {{"realm", "r"}}}, {"bearer", {{"realm", "u"}, {"service", "s"}}}}},
      {R"(Basic, Bearer realm="u")", {{"basic", {}}, {"bearer", {{"realm", "u"}}}}},
      {R"(Negotiate YWJj==, Basic realm="r")", {{"negotiate", {}}, {"basic", {{"realm", "r"}}}}},
      {R"(NTLM , , bAsIc REALM="r")", {{"ntlm", {}}, {"basic", {{"realm", "r"}}}}},
  };
  for (const Row& row : rows) EXPECT_EQ(parse_challenges(row.field), row.want) << row.field;
}

TEST(AuthChallenge, KeepsCommasAndEscapesInsideQuotes) {
  const Challenges got = parse_challenges(R"(Bearer realm = "a\"b\\c, Basic x=y" , service="")");
  EXPECT_EQ(got, (Challenges{{"bearer", {{"realm", R"(a"b\c, Basic x=y)"}, {"service", ""}}}}));
}

TEST(AuthChallenge, AcceptsUnquotedUrls) {
  const Challenges got = parse_challenges("Bearer realm=https://h/t?a=b,service=h");
  EXPECT_EQ(got, (Challenges{{"bearer", {{"realm", "https://h/t?a=b"}, {"service", "h"}}}}));
}

TEST(AuthChallenge, FirstOfARepeatedParameterCounts) {
  EXPECT_EQ(parse_challenges("Bearer realm=a,realm=b")[0].parameter("realm"), "a");
}

TEST(AuthChallenge, EndsAtWhatItCannotParse) {
  EXPECT_TRUE(parse_challenges("").empty());
  EXPECT_TRUE(parse_challenges(" , ,").empty());
  EXPECT_TRUE(parse_challenges("\"Basic\"").empty());
  EXPECT_EQ(parse_challenges(R"(Basic realm="never closed)"), (Challenges{{"basic", {}}}));
  EXPECT_EQ(parse_challenges(R"(Basic realm="r" junk, Bearer realm="u")"),
            (Challenges{{"basic", {{"realm", "r"}}}}));
  EXPECT_EQ(parse_challenges("Bearer =x").size(), 1u);
}

}  // namespace
}  // namespace strake::registry
