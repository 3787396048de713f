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
