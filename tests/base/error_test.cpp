#include "layers/base/error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace strake::base {
namespace {

TEST(SystemError, SaysWhatFailedOnWhatAndWhy) {
  const Error error = system_error(ENOENT, "open", "/srv/a b");
  EXPECT_STREQ(error.what(), "cannot open \"/srv/a b\": no such file or directory");
  EXPECT_EQ(error.code(), ErrorCode::not_found);
}

TEST(SystemError, TakesItsCodeFromErrno) {
  EXPECT_EQ(system_error(EACCES, "open", "x").code(), ErrorCode::denied);
  EXPECT_EQ(system_error(EPERM, "open", "x").code(), ErrorCode::denied);
  EXPECT_EQ(system_error(EIO, "open", "x").code(), ErrorCode::system);
}

TEST(SystemError, HintsAtAFullDiskOnly) {
  EXPECT_NE(system_error(ENOSPC, "write", "x").hint(), "");
  EXPECT_NE(system_error(EDQUOT, "write", "x").hint(), "");
  EXPECT_EQ(system_error(EIO, "write", "x").hint(), "");
}

TEST(ErrorDetails, KeepTheInnermostPlaceAndHint) {
  const auto error = Error(ErrorCode::corrupt, "broken").hint("mend it").at({"a", 1, 2}).note("n");
  Error outer = error;
  outer.set_hint("other");
  outer.set_location({"b", 3, 4});
  outer.add_context("inner");
  outer.add_context("outer");
  EXPECT_EQ(outer.hint(), "mend it");
  EXPECT_EQ(outer.location(), (SourceRange{"a", 1, 2}));
  ASSERT_EQ(outer.context().size(), 2U);
  EXPECT_EQ(outer.context()[1], "outer");
  EXPECT_EQ(outer.notes()[0], "n");
}

TEST(Quoted, EscapesWhatATerminalWouldObeyOrHide) {
  const std::pair<std::string, std::string> rows[] = {
      {"", "\"\""},
      {"plain text", "\"plain text\""},
      {"say \"hi\" \\", "\"say \\\"hi\\\" \\\\\""},
      {"a\nb\tc\r", "\"a\\nb\\tc\\r\""},
      {std::string("a\0b", 3), "\"a\\x00b\""},
      {"\x1b[2J\x7f", "\"\\x1b[2J\\x7f\""},
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2",
       "\"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2\""},
      {"\xff\xc3", "\"\\xff\\xc3\""},
      {"\xc0\xaf", "\"\\xc0\\xaf\""},                    // overlong
      {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},           // surrogate
      {"\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\""},  // above U+10FFFF
      {"\xc2\x9b"
       "2J",
       "\"\\xc2\\x9b2J\""},  // C1: another way to write ESC [
      {"a\xe2\x80\xae"
       "b",
       "\"a\\xe2\\x80\\xaeb\""},  // right-to-left override
      {"\xe2\x81\xa6\xe2\x80\xa8", "\"\\xe2\\x81\\xa6\\xe2\\x80\\xa8\""},
      {"\xe2\x80\x94", "\"\xe2\x80\x94\""},  // a dash is harmless
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(base::quoted(text), expected);
}

TEST(Nearest, FindsLikelyMisspellingsOnly) {
  const std::vector<std::string> words = {"FROM", "RUN", "COPY", "ENTRYPOINT", "ENV"};
  const std::pair<const char*, const char*> rows[] = {
      {"FORM", "FROM"},
      {"form", "FROM"},
      {"RNU", "RUN"},
      {"COPPY", "COPY"},
      {"COP", "COPY"},
      {"ENTRYPIONT", "ENTRYPOINT"},
      {"ENTERPOINT", "ENTRYPOINT"},
      {"EN", "ENV"},
      {"LABEL", ""},
      {"X", ""},
      {"", ""},
      {"COPY", "COPY"},
      {"FETCH", ""},
  };
  for (const auto& [word, expected] : rows) EXPECT_EQ(nearest(word, words), expected) << word;
  EXPECT_EQ(nearest("a", std::vector<std::string>{"b"}), "");
  EXPECT_EQ(nearest(std::string(100000, 'x'), words), "");
}

}  // namespace
}  // namespace strake::base
