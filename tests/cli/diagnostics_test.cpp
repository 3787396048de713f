#include "builder/cli/diagnostics.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "layers/base/log.h"

namespace strake::cli {
namespace {

using base::Error;
using base::ErrorCode;

base::SourceRange lines(const std::string& text, int first, int last) {
  return {"Dockerfile", first, last, std::make_shared<const std::string>(text)};
}

std::string plain(const Error& error) {
  return describe(error, Colour::no);
}

TEST(Diagnostics, ShowsMessagePlaceExcerptPurposeNotesAndHint) {
  Error error(ErrorCode::not_found,
              "cannot copy \"server/config.yml\": no such file in the build context");
  error.set_location(lines("FROM scratch\nWORKDIR /srv\nCOPY server/config.yml .\nUSER 1\n", 3, 3));
  error.add_context("building stage \"app\"");
  error.add_note("context: /home/ana/shop (14 files)");
  error.set_hint("exclude fewer files");
  EXPECT_EQ(plain(error),
            R"(error: cannot copy "server/config.yml": no such file in the build context
  Dockerfile:3
    2 | WORKDIR /srv
    3 | COPY server/config.yml .
      | ^^^^^^^^^^^^^^^^^^^^^^^^
  while: building stage "app"
  context: /home/ana/shop (14 files)
  hint: exclude fewer files
)");
}

TEST(Diagnostics, MarksSeveralLinesInTheGutter) {
  Error error(ErrorCode::step_failed, "RUN failed with exit status 1");
  error.set_location(lines("FROM a\nRUN make && \\\n    make install\n", 2, 3));
  EXPECT_EQ(plain(error), R"(error: RUN failed with exit status 1
  Dockerfile:2
    1 | FROM a
    2 > RUN make && \
    3 >     make install
)");
}

TEST(Diagnostics, LeavesOutTheMiddleOfALongPlace) {
  std::string text = "FROM a\n";
  for (int i = 0; i < 40; ++i) text += "RUN line" + std::to_string(i) + "\n";
  Error error(ErrorCode::step_failed, "failed");
  error.set_location(lines(text, 2, 41));
  const std::string shown = plain(error);
  EXPECT_LT(std::count(shown.begin(), shown.end(), '\n'), 16);
  EXPECT_NE(shown.find("    2 > RUN line0\n"), std::string::npos);
  EXPECT_NE(shown.find("   …\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("   41 > RUN line39\n"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("line30"), std::string::npos);
}

TEST(Diagnostics, UnderlinesIndentedAndWideTextWhereItStands) {
  Error error(ErrorCode::invalid_input, "bad");
  error.set_location(lines("\tENV 名=x\r\n", 1, 1));
  EXPECT_EQ(plain(error),
            "error: bad\n  Dockerfile:1\n    1 |         ENV 名=x\n      |         ^^^^^^^^\n");
}

TEST(Diagnostics, ShowsAPlaceWhoseTextIsNotKnown) {
  Error error(ErrorCode::invalid_input, "bad");
  error.set_location({"a/Dockerfile", 7, 7});
  EXPECT_EQ(plain(error), "error: bad\n  a/Dockerfile:7\n");
}

TEST(Diagnostics, PurposesComeInnermostFirst) {
  Error error(ErrorCode::unavailable, "no answer");
  error.add_context("uploading layer sha256:5f70bf18 (3 of 4)");
  error.add_context("pushing shop");
  EXPECT_EQ(plain(error),
            "error: no answer\n  while: uploading layer sha256:5f70bf18 (3 of 4)\n"
            "  while: pushing shop\n");
}

TEST(Diagnostics, NeutralisesControlCharactersEverywhere) {
  Error error(ErrorCode::denied, "registry said \x1b]0;owned\x07no\rway");
  error.set_location(lines("RUN \x1b[31mred\n", 1, 1));
  error.add_note("note \x1b[2J");
  error.set_hint(
      "hint \x9b"
      "31m");
  const std::string shown = plain(error);
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
  EXPECT_EQ(shown.find('\r'), std::string::npos);
  EXPECT_EQ(shown.find('\x9b'), std::string::npos);
  EXPECT_NE(shown.find("registry said no"), std::string::npos);
}

TEST(Diagnostics, IndentsFurtherLinesOfAMessage) {
  EXPECT_EQ(plain(Error(ErrorCode::system, "first\nsecond")), "error: first\n    second\n");
}

TEST(Diagnostics, HidesSecretsAndCredentialsInUrls) {
  base::redact("hunter2-secret");
  Error error(ErrorCode::denied, "cannot get https://ana:pw@host/x?token=abc");
  error.set_location(lines("ENV T=hunter2-secret\n", 1, 1));
  error.set_hint("not hunter2-secret");
  const std::string shown = plain(error);
  EXPECT_EQ(shown.find("hunter2"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("pw@"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("abc"), std::string::npos) << shown;
}

TEST(Diagnostics, ColoursOnlyWhenAsked) {
  const Error error = Error(ErrorCode::denied, "no").hint("yes");
  EXPECT_EQ(plain(error).find('\x1b'), std::string::npos);
  EXPECT_NE(describe(error, Colour::yes).find("\x1b[31;1merror:\x1b[0m"), std::string::npos);
}

TEST(Diagnostics, BugsAskToBeReported) {
  const std::string shown = describe_internal(std::logic_error("ready is not empty"), Colour::no);
  EXPECT_TRUE(shown.starts_with("internal error: ready is not empty\n")) << shown;
  EXPECT_NE(shown.find("please report"), std::string::npos);
}

TEST(Diagnostics, ExitStatusTellsTheKindOfFailure) {
  EXPECT_EQ(exit_status(ErrorCode::step_failed), ExitStatus::build_failed);
  EXPECT_EQ(exit_status(ErrorCode::corrupt), ExitStatus::build_failed);
  EXPECT_EQ(exit_status(ErrorCode::invalid_input), ExitStatus::input);
  EXPECT_EQ(exit_status(ErrorCode::not_found), ExitStatus::input);
  EXPECT_EQ(exit_status(ErrorCode::denied), ExitStatus::registry);
  EXPECT_EQ(exit_status(ErrorCode::unavailable), ExitStatus::registry);
  EXPECT_EQ(exit_status(ErrorCode::unsupported), ExitStatus::unsupported);
  EXPECT_EQ(exit_status(ErrorCode::system), ExitStatus::disk);
}

}  // namespace
}  // namespace strake::cli
