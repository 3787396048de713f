#include "builder/cli/terminal_text.h"

#include <gtest/gtest.h>

namespace strake::cli {
namespace {

TEST(Printable, DropsEscapeSequencesOfEveryKind) {
  EXPECT_EQ(printable("a\x1b[31;1mb\x1b[0mc"), "abc");
  EXPECT_EQ(printable("a\x1b]0;title\x07z"), "az");
  EXPECT_EQ(printable("a\x1b]52;c;Y29weQ==\x1b\\z"), "az");
  EXPECT_EQ(printable("a\x1bPq#0\x1b\\z"), "az");
  EXPECT_EQ(printable("a\x1b(Bz"), "az");
  EXPECT_EQ(printable("a\x1b"
                      "cz"),
            "az");
}

TEST(Printable, SurvivesSequencesThatNeverEnd) {
  EXPECT_EQ(printable("a\x1b"), "a");
  EXPECT_EQ(printable("a\x1b["), "a");
  EXPECT_EQ(printable("a\x1b]0;tit"), "a");
}

TEST(Printable, ReplacesControlCharactersAndInvalidUtf8) {
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\uFFFDb");
  EXPECT_EQ(printable("a\rb\bc"), "a\uFFFDb\uFFFDc");
  EXPECT_EQ(printable("\xff\xc0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\uFFFD31m");                                      // C1 CSI
  EXPECT_EQ(printable("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate
}

TEST(Printable, ReplacesBidirectionalOverrides) {
  EXPECT_EQ(printable("a\u202Eb\u2066c"), "a\uFFFDb\uFFFDc");
}

TEST(Printable, ExpandsTabs) {
  EXPECT_EQ(printable("ab\tc"), "ab      c");
  EXPECT_EQ(printable("\tc"), "        c");
}

TEST(Printable, KeepsTextOfTheWorld) {
  EXPECT_EQ(printable("größe 名前 🚢"), "größe 名前 🚢");
}

TEST(DisplayWidth, CountsWideAndCombiningCharacters) {
  EXPECT_EQ(display_width("abc"), 3U);
  EXPECT_EQ(display_width("名前"), 4U);
  EXPECT_EQ(display_width("e\u0301"), 1U);
  EXPECT_EQ(display_width("🚢"), 2U);
}

TEST(Fit, CutsAtTheColumnAndSaysSo) {
  EXPECT_EQ(fit("abcdef", 6), "abcdef");
  EXPECT_EQ(fit("abcdef", 5), "abcd…");
  EXPECT_EQ(fit("abcdef", 1), "…");
  EXPECT_EQ(fit("abcdef", 0), "");
}

TEST(Fit, NeverSplitsAWideCharacter) {
  EXPECT_EQ(fit("名前名", 4), "名…");
  EXPECT_LE(display_width(fit("名前名", 4)), 4U);
}

TEST(FormatBytes, UsesDecimalUnits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(1000), "1.00 kB");
  EXPECT_EQ(format_bytes(12'345'678), "12.3 MB");
  EXPECT_EQ(format_bytes(999'999), "1.00 MB");
  EXPECT_EQ(format_bytes(3.2e9), "3.20 GB");
}

TEST(FormatSeconds, GrowsCoarser) {
  EXPECT_EQ(format_seconds(0.04), "0.0s");
  EXPECT_EQ(format_seconds(12.34), "12.3s");
  EXPECT_EQ(format_seconds(59.99), "1m00s");
  EXPECT_EQ(format_seconds(185), "3m05s");
  EXPECT_EQ(format_seconds(7620), "2h07m");
}

}  // namespace
}  // namespace strake::cli
