#include "builder/cli/progress_plain.h"

#include <gtest/gtest.h>

#include "builder/cli/progress_quiet.h"
#include "layers/base/fd.h"

namespace strake::cli {
namespace {

using base::bytes_of;
using builder::Outcome;
using builder::TaskId;

TimePoint g_now;

void advance(int milliseconds) {
  g_now += std::chrono::milliseconds(milliseconds);
}

/// A display and what it has written.
class PlainProgressTest : public testing::Test {
 protected:
  explicit PlainProgressTest(StepBytes bytes = StepBytes::unaltered) {
    auto sink = std::make_unique<base::StringSink>();
    text_ = &sink->text;
    progress_ = std::make_unique<PlainProgress>(std::move(sink), bytes, [] { return g_now; });
  }

  std::string* text_;
  std::unique_ptr<PlainProgress> progress_;
};

TEST_F(PlainProgressTest, TellsAStepFromStartToEnd) {
  const TaskId from = progress_->start({"build", "1/2", "FROM alpine"});
  progress_->finish(from, Outcome::cached);
  const TaskId run = progress_->start({"build", "2/2", "RUN make"});
  advance(120);
  progress_->output(run, bytes_of("cc -c main.c\nlin"));
  advance(1080);
  progress_->output(run, bytes_of("ked\n"));
  progress_->finish(run, Outcome::done);
  EXPECT_EQ(*text_, R"(#1 [build 1/2] FROM alpine
#1 CACHED
#2 [build 2/2] RUN make
#2 0.12 cc -c main.c
#2 1.20 linked
#2 DONE 1.2s
)");
}

TEST_F(PlainProgressTest, KeepsLinesOfParallelStepsApart) {
  const TaskId a = progress_->start({"a", "", "RUN one"});
  const TaskId b = progress_->start({"b", "", "RUN two"});
  progress_->output(a, bytes_of("from a "));
  progress_->output(b, bytes_of("from b\n"));
  progress_->output(a, bytes_of("too\n"));
  progress_->finish(a, Outcome::cancelled);
  progress_->finish(b, Outcome::failed);
  EXPECT_EQ(*text_, R"(#1 [a] RUN one
#2 [b] RUN two
#2 0.00 from b
#1 0.00 from a too
#1 CANCELLED 0.0s
#2 FAILED 0.0s
)");
}

TEST_F(PlainProgressTest, WritesALastLineWithoutNewline) {
  const TaskId run = progress_->start({"", "", "RUN printf x"});
  progress_->output(run, bytes_of("x"));
  progress_->finish(run, Outcome::done);
  EXPECT_EQ(*text_, "#1 RUN printf x\n#1 0.00 x\n#1 DONE 0.0s\n");
}

TEST_F(PlainProgressTest, ReportsTransfersNowAndThenAndAtTheirEnd) {
  const TaskId pull = progress_->start({"", "", "pull alpine"});
  for (int i = 1; i <= 120; ++i) {
    advance(100);
    progress_->bytes(pull, "sha256:5f70bf18", static_cast<std::uint64_t>(i) * 10'000, 1'200'000);
  }
  progress_->bytes(pull, "sha256:5f70bf18", 1'200'000, 1'200'000);
  EXPECT_EQ(*text_, R"(#1 pull alpine
#1 sha256:5f70bf18 510 kB / 1.20 MB 5.0s
#1 sha256:5f70bf18 1.01 MB / 1.20 MB 10.0s
#1 sha256:5f70bf18 1.20 MB 11.9s done
)");
}

TEST_F(PlainProgressTest, ShowsNotesAndMessages) {
  const TaskId run = progress_->start({"", "", "RUN x"});
  progress_->note(run, "cache miss: \"go.sum\" changed");
  progress_->message("warning: platform differs");
  EXPECT_EQ(*text_, "#1 RUN x\n#1 cache miss: \"go.sum\" changed\nwarning: platform differs\n");
}

TEST_F(PlainProgressTest, TitleIsOneLineWithoutEscapes) {
  progress_->start({"", "", "RUN <<EOF\nsecond\nEOF"});
  progress_->start({"", "", "RUN \x1b[31mx"});
  EXPECT_EQ(*text_, "#1 RUN <<EOF\n#2 RUN x\n");
}

TEST_F(PlainProgressTest, FailureReportHasTheLastLinesOfWhatFailed) {
  const TaskId good = progress_->start({"", "", "RUN good"});
  progress_->output(good, bytes_of("fine\n"));
  progress_->finish(good, Outcome::done);
  const TaskId bad = progress_->start({"build", "2/2", "RUN bad"});
  for (int i = 0; i < 30; ++i) progress_->output(bad, bytes_of("line " + std::to_string(i) + "\n"));
  progress_->finish(bad, Outcome::failed);
  const std::string report = progress_->failure_report();
  EXPECT_TRUE(report.starts_with("last output of [build 2/2] RUN bad:\n  | line 10\n")) << report;
  EXPECT_TRUE(report.ends_with("  | line 29\n")) << report;
  EXPECT_EQ(report.find("fine"), std::string::npos);
}

TEST_F(PlainProgressTest, PassesBytesOfStepsOnUnaltered) {
  const TaskId run = progress_->start({"", "", "RUN x"});
  progress_->output(run, bytes_of("\x1b[31mred\x1b[0m \xff\n"));
  EXPECT_EQ(*text_, "#1 RUN x\n#1 0.00 \x1b[31mred\x1b[0m \xff\n");
}

class PlainProgressOnTerminal : public PlainProgressTest {
 protected:
  PlainProgressOnTerminal() : PlainProgressTest(StepBytes::neutralised) {}
};

// Case D19: output is passed on with bounded memory, and does not command a terminal.
TEST_F(PlainProgressOnTerminal, NeutralisesWhatStepsWrite) {
  const TaskId run = progress_->start({"", "", "RUN x"});
  progress_->output(run, bytes_of("\x1b[2Jred\x07 #9 DONE\r#8 DONE\n"));
  EXPECT_EQ(*text_, "#1 RUN x\n#1 0.00 red\uFFFD #9 DONE\n#1 0.00 #8 DONE\n");
}

TEST(QuietProgress, SaysNothingButKeepsTheOutputOfAFailure) {
  auto sink = std::make_unique<base::StringSink>();
  const std::string* text = &sink->text;
  QuietProgress progress(std::move(sink));
  const TaskId run = progress.start({"", "", "RUN x"});
  progress.output(run, bytes_of("why\n"));
  progress.message("about the build");
  progress.finish(run, Outcome::failed);
  EXPECT_EQ(*text, "");
  EXPECT_EQ(progress.failure_report(), "last output of RUN x:\n  | why\n");
  progress.log_line("warning: mind this");
  EXPECT_EQ(*text, "warning: mind this\n");
}

TEST(LogThroughDisplay, SendsLogLinesToTheDisplayWhileItLives) {
  auto sink = std::make_unique<base::StringSink>();
  const std::string* text = &sink->text;
  QuietProgress progress(std::move(sink));
  {
    const LogThroughDisplay logs(progress);
    base::log_warning("low on space");
  }
  EXPECT_EQ(*text, "warning: low on space\n");
}

}  // namespace
}  // namespace strake::cli
