#include "builder/plan/go_format.h"

#include <gtest/gtest.h>

namespace strake::plan {
namespace {

TEST(GoFormat, QuotesAsFmtQ) {
  EXPECT_EQ(go_quoted("a \"b\" \\ \n\t\x01"), "\"a \\\"b\\\" \\\\ \\n\\t\\x01\"");
  EXPECT_EQ(go_quoted(std::vector<std::string>{"/bin/sh", "-c", "x y"}),
            "[\"/bin/sh\" \"-c\" \"x y\"]");
  EXPECT_EQ(go_quoted(std::vector<std::string>{}), "[]");
}

TEST(GoFormat, EscapesWhatGoDoesNotPrint) {
  EXPECT_EQ(go_quoted("\u00e9 \u20ac \U0001F600"), "\"\u00e9 \u20ac \U0001F600\"");
  EXPECT_EQ(go_quoted("\u00a0\u200b\u2028\ufeff\U000E0001"),
            "\"\\u00a0\\u200b\\u2028\\ufeff\\U000e0001\"");
  EXPECT_EQ(go_quoted("a\xff\xc3"), "\"a\\xff\\xc3\"");
  EXPECT_EQ(go_quoted("\x7f'"), "\"\\x7f'\"");
}

TEST(GoFormat, QuotesNumbersAsCharacters) {
  EXPECT_EQ(go_quoted_character(0), "'\\x00'");
  EXPECT_EQ(go_quoted_character(10), "'\\n'");
  EXPECT_EQ(go_quoted_character('"'), "'\"'");
  EXPECT_EQ(go_quoted_character('\''), "'\\''");
  EXPECT_EQ(go_quoted_character(200), "'\u00c8'");
}

TEST(GoFormat, PrintsListsAsFmtV) {
  EXPECT_EQ(go_list({"/a", "/b"}), "[/a /b]");
  EXPECT_EQ(go_list({}), "[]");
}

TEST(GoFormat, PrintsDurationsAsGoDoes) {
  EXPECT_EQ(go_duration(0), "0s");
  EXPECT_EQ(go_duration(1), "1ns");
  EXPECT_EQ(go_duration(1'500), "1.5µs");
  EXPECT_EQ(go_duration(100'000'000), "100ms");
  EXPECT_EQ(go_duration(1'500'000'000), "1.5s");
  EXPECT_EQ(go_duration(300'000'000'000), "5m0s");
  EXPECT_EQ(go_duration(5'400'000'000'000), "1h30m0s");
  EXPECT_EQ(go_duration(-1'000'000'000), "-1s");
}

}  // namespace
}  // namespace strake::plan
