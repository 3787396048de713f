#include "builder/cli/text_table.h"

#include <gtest/gtest.h>

namespace strake::cli {
namespace {

TEST(TextTable, AlignsColumnsAndTrimsLines) {
  EXPECT_EQ(text_table({{"NAME", "SIZE"}, {"名前", "1"}, {"longer-name", ""}}),
            "NAME          SIZE\n名前          1\nlonger-name\n");
}

TEST(TextTable, MakesCellsPrintable) {
  EXPECT_EQ(text_table({{"a\x1b[31mb\n"}}), "ab\uFFFD\n");
}

TEST(FormatAge, SpeaksAsDockerDoes) {
  EXPECT_EQ(format_age(0), "Less than a second ago");
  EXPECT_EQ(format_age(1), "1 second ago");
  EXPECT_EQ(format_age(59), "59 seconds ago");
  EXPECT_EQ(format_age(60), "About a minute ago");
  EXPECT_EQ(format_age(45 * 60), "45 minutes ago");
  EXPECT_EQ(format_age(60 * 60), "About an hour ago");
  EXPECT_EQ(format_age(5 * 3600), "5 hours ago");
  EXPECT_EQ(format_age(3 * 86400), "3 days ago");
  EXPECT_EQ(format_age(21 * 86400), "3 weeks ago");
  EXPECT_EQ(format_age(100 * 86400), "3 months ago");
  EXPECT_EQ(format_age(3 * 365 * 86400), "3 years ago");
}

TEST(Rfc3339, IsReadWithFractionsAndOffsets) {
  EXPECT_EQ(parse_rfc3339("1970-01-02T00:00:01Z"), 86401);
  EXPECT_EQ(parse_rfc3339("1970-01-02T00:00:01.999999999Z"), 86401);
  EXPECT_EQ(parse_rfc3339("1970-01-02T02:00:01+02:00"), 86401);
  EXPECT_EQ(parse_rfc3339("1970-01-01T22:00:01-02:00"), 86401);
  EXPECT_EQ(parse_rfc3339("yesterday"), 0);
  EXPECT_EQ(parse_rfc3339(""), 0);
}

TEST(Rfc3339, IsWrittenAsItIsRead) {
  EXPECT_EQ(format_rfc3339(1'700'000'000), "2023-11-14T22:13:20Z");
  EXPECT_EQ(parse_rfc3339(format_rfc3339(1'700'000'000)), 1'700'000'000);
}

}  // namespace
}  // namespace strake::cli
