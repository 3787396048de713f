#include "builder/cli/step_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace strake::cli {
namespace {

using testing::ElementsAre;

struct Lines {
  std::vector<std::string> text;
  std::vector<LineEnd> ends;
  LineCutter cutter;

  void feed(std::string_view bytes) {
    cutter.feed(bytes, [this](std::string_view line, LineEnd end) { add(line, end); });
  }
  void finish() {
    cutter.finish([this](std::string_view line, LineEnd end) { add(line, end); });
  }
  void add(std::string_view line, LineEnd end) {
    text.emplace_back(line);
    ends.push_back(end);
  }
};

TEST(LineCutter, JoinsWhatComesInPieces) {
  Lines lines;
  lines.feed("he");
  lines.feed("llo\nwor");
  EXPECT_THAT(lines.text, ElementsAre("hello"));
  EXPECT_EQ(lines.cutter.partial(), "wor");
  lines.feed("ld\n\n");
  EXPECT_THAT(lines.text, ElementsAre("hello", "world", ""));
}

TEST(LineCutter, GivesTheLastLineWithoutAnEnd) {
  Lines lines;
  lines.feed("no newline");
  lines.finish();
  lines.finish();
  EXPECT_THAT(lines.text, ElementsAre("no newline"));
}

TEST(LineCutter, TakesReturnAndNewlineAsOneEndEvenWhenTheyComeApart) {
  Lines lines;
  lines.feed("a\r");
  lines.feed("\nb\r\r\nc");
  EXPECT_THAT(lines.text, ElementsAre("a", "b"));
  EXPECT_THAT(lines.ends, ElementsAre(LineEnd::newline, LineEnd::newline));
}

TEST(LineCutter, ALoneReturnEndsALineThatTheNextReplaces) {
  Lines lines;
  lines.feed("10%\r20%\r100%\n");
  EXPECT_THAT(lines.text, ElementsAre("10%", "20%", "100%"));
  EXPECT_THAT(lines.ends,
              ElementsAre(LineEnd::carriage_return, LineEnd::carriage_return, LineEnd::newline));
}

TEST(LineCutter, CutsALineWithoutEndButLosesNothing) {
  Lines lines;
  std::string input;
  for (int i = 0; i < 5000; ++i) input += "0123456789";
  for (std::size_t i = 0; i < input.size(); i += 777)
    lines.feed(std::string_view(input).substr(i, 777));
  EXPECT_LE(lines.cutter.partial().size(), kLongestLine);
  lines.finish();
  std::string joined;
  for (const std::string& line : lines.text) {
    EXPECT_LE(line.size(), kLongestLine);
    joined += line;
  }
  EXPECT_EQ(joined, input);
}

TEST(LineCutter, DoesNotCutWithinACharacter) {
  Lines lines;
  std::string input = "x";
  while (input.size() < 2 * kLongestLine) input += "名";
  lines.feed(input);
  lines.finish();
  ASSERT_GT(lines.text.size(), 1U);
  for (const std::string& line : lines.text)
    EXPECT_NE(static_cast<unsigned char>(line[0]) & 0xC0U, 0x80U);
}

TEST(StepTail, KeepsTheLastLines) {
  StepTail tail;
  for (int i = 0; i < 100; ++i) tail.append("line " + std::to_string(i) + "\n");
  ASSERT_EQ(tail.lines().size(), StepTail::kLines);
  EXPECT_EQ(tail.lines().front(), "line 80");
  EXPECT_EQ(tail.lines().back(), "line 99");
}

TEST(StepTail, ShowsAProgressBarAsItStands) {
  StepTail tail;
  tail.append("start\n10%\r50%\r");
  EXPECT_EQ(tail.lines().back(), "50%");
  tail.append("90%");
  EXPECT_EQ(tail.lines().back(), "90%");
  tail.append("\ndone\n");
  EXPECT_THAT(tail.lines(), ElementsAre("start", "90%", "done"));
}

TEST(StepTail, ShowsALineThatHasNotEnded) {
  StepTail tail;
  tail.append("Password: ");
  EXPECT_THAT(tail.lines(), ElementsAre("Password: "));
}

}  // namespace
}  // namespace strake::cli
