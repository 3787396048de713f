#include "builder/cli/progress_tty.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "layers/base/fd.h"

namespace strake::cli {
namespace {

using base::bytes_of;
using builder::Outcome;
using builder::TaskId;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

const Palette kNoColour(false);
TimePoint at(int milliseconds) {
  return TimePoint(std::chrono::milliseconds(1000 + milliseconds));
}

/// Tasks for draw_frame, without a display around them.
struct Board {
  TaskTable tasks;
  Tally tally{.began = at(0)};

  TaskId start(const builder::TaskInfo& info, int when = 0) {
    return tasks.start(task_title(info), info.group, at(when));
  }
  std::vector<std::string> draw(TerminalSize size, int when) const {
    return draw_frame(tasks.running(), tally, size, at(when), kNoColour);
  }
};

TEST(ProgressFrame, ShowsTasksTheirOutputAndASum) {
  Board board;
  const TaskId run = board.start({"build", "2/3", "RUN make"});
  board.tasks.find(run)->tail.append("cc -c a.c\ncc -c b.c\n");
  board.tally.done = 1;
  EXPECT_THAT(
      board.draw({24, 50}, 2500),
      ElementsAre("         [build 2/3] RUN make                2.5s",
                  "           cc -c a.c",  //
                  "           cc -c b.c", "         1 running, 1 done                   2.5s"));
}

TEST(ProgressFrame, ShowsTransfersWithRates) {
  Board board;
  const TaskId pull = board.start({"", "", "pull alpine"});
  Task& task = *board.tasks.find(pull);
  Transfer& one = board.tasks.transfer(task, "sha256:aa", at(0));
  one.done_bytes = 2'000'000;
  one.total_bytes = 8'000'000;
  Transfer& two = board.tasks.transfer(task, "sha256:bb", at(0));
  two.done_bytes = two.total_bytes = 1'000'000;
  two.finished = true;
  const std::vector<std::string> frame = board.draw({24, 80}, 2000);
  EXPECT_THAT(frame[0], HasSubstr("3.00 MB / 9.00 MB  1.50 MB/s  2.0s"));
  EXPECT_EQ(frame[1], "           sha256:aa  2.00 MB / 8.00 MB  1.00 MB/s");
  EXPECT_EQ(frame.size(), 3U);  // what is finished has no line of its own
}

TEST(ProgressFrame, PutsTasksOfOneGroupTogether) {
  Board board;
  board.start({"a", "1/2", "RUN one"});
  board.start({"b", "1/1", "RUN two"});
  board.start({"a", "2/2", "RUN three"});
  const std::vector<std::string> frame = board.draw({24, 80}, 0);
  EXPECT_THAT(frame[0], HasSubstr("[a 1/2]"));
  EXPECT_THAT(frame[1], HasSubstr("[a 2/2]"));
  EXPECT_THAT(frame[2], HasSubstr("[b 1/1]"));
}

TEST(ProgressFrame, NeverDrawsMoreThanTheScreenHolds) {
  Board board;
  for (int i = 0; i < 30; ++i) {
    const TaskId id = board.start({"g" + std::to_string(i), "", std::string(300, 'x')});
    for (int line = 0; line < 30; ++line)
      board.tasks.find(id)->tail.append(std::string(200, 'y') + "\n");
  }
  for (const unsigned rows : {1U, 2U, 3U, 4U, 8U, 24U, 31U, 32U, 33U, 60U, 200U}) {
    for (const unsigned columns : {1U, 5U, 20U, 80U}) {
      const std::vector<std::string> frame = board.draw({rows, columns}, 100'000);
      EXPECT_LT(frame.size(), std::max(rows, 2U)) << rows << "x" << columns;
      for (const std::string& line : frame)
        EXPECT_LT(display_width(line), std::max(columns, 2U)) << rows << "x" << columns << line;
    }
  }
}

TEST(ProgressFrame, SaysHowManyTasksItHides) {
  Board board;
  for (int i = 0; i < 10; ++i) board.start({"", "", "RUN x"});
  const std::vector<std::string> frame = board.draw({6, 80}, 0);
  EXPECT_EQ(frame.size(), 5U);
  EXPECT_THAT(frame, Contains("         and 7 more"));
}

TEST(ProgressFrame, NeutralisesOutputOfSteps) {
  Board board;
  const TaskId run = board.start({"", "", "RUN evil"});
  board.tasks.find(run)->tail.append(
      "\x1b[2J\x1b]0;owned\x07"
      "calm\n");
  for (const std::string& line : board.draw({24, 80}, 0))
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
}

TEST(ProgressFrame, FinishedTaskLeavesOneLine) {
  Board board;
  const TaskId id = board.start({"build", "1/2", "FROM alpine"});
  const auto line = [&](Outcome outcome) {
    return draw_finished(*board.tasks.find(id), outcome, {24, 50}, at(400), kNoColour);
  };
  EXPECT_EQ(line(Outcome::done), "   done  [build 1/2] FROM alpine             0.4s");
  EXPECT_EQ(line(Outcome::cached), " cached  [build 1/2] FROM alpine");
  EXPECT_EQ(line(Outcome::failed), " failed  [build 1/2] FROM alpine             0.4s");
}

/// A terminal that follows what is written to it: the few sequences that TtyProgress uses.
class FakeTerminal {
 public:
  void write(std::string_view text) {
    while (!text.empty()) {
      if (text.starts_with("\x1b[")) {
        const std::size_t end = text.find_first_of("AJKm");
        apply(text[end], text.substr(2, end - 2));
        text.remove_prefix(end + 1);
        continue;
      }
      if (text[0] == '\n') {
        ++row_;
        column_ = 0;
      } else if (text[0] == '\r') {
        column_ = 0;
      } else {
        put(text[0]);
      }
      text.remove_prefix(1);
    }
  }
  const std::vector<std::string>& lines() const { return lines_; }

 private:
  void apply(char command, std::string_view argument) {
    if (command == 'A') row_ -= std::stoul(std::string(argument));
    if (command == 'K' && row_ < lines_.size())
      lines_[row_].resize(std::min(column_, lines_[row_].size()));
    if (command == 'J' && row_ < lines_.size()) lines_.resize(row_);
  }
  void put(char c) {
    if (lines_.size() <= row_) lines_.resize(row_ + 1);
    lines_[row_].resize(std::max(lines_[row_].size(), column_ + 1), ' ');
    lines_[row_][column_++] = c;
  }

  std::vector<std::string> lines_;
  std::size_t row_ = 0, column_ = 0;
};

TimePoint g_now = at(0);

class TtyProgressTest : public testing::Test {
 protected:
  struct Sink final : base::ByteSink {
    explicit Sink(TtyProgressTest& owner) : test(owner) {}
    void write(std::span<const std::byte> bytes) override {
      test.terminal_.write(base::text_of(bytes));
      ++test.writes_;
    }
    TtyProgressTest& test;
  };

  TtyProgressTest()
      : progress_(
            std::make_unique<Sink>(*this), [this] { return size_; }, kNoColour,
            [] { return g_now; }) {
    g_now = at(0);
  }

  TerminalSize size_{24, 50};
  FakeTerminal terminal_;
  std::atomic<int> writes_ = 0;
  TtyProgress progress_;
};

// The drawing thread may draw as well, at any time: what is asserted holds after each drawing.

TEST_F(TtyProgressTest, FinishedTasksScrollUpAndTheRestIsRedrawn) {
  const TaskId first = progress_.start({"", "", "FROM alpine"});
  progress_.draw();
  const TaskId second = progress_.start({"", "", "RUN make"});
  progress_.output(second, bytes_of("one\ntwo\n"));
  progress_.draw();
  progress_.finish(first, Outcome::cached);
  progress_.draw();
  progress_.finish(second, Outcome::done);
  progress_.close();
  EXPECT_THAT(terminal_.lines(), ElementsAre(" cached  FROM alpine",
                                             "   done  RUN make                            0.0s"));
}

TEST_F(TtyProgressTest, LiveLinesStandBelowWhatHasEnded) {
  const TaskId first = progress_.start({"", "", "FROM alpine"});
  progress_.start({"", "", "RUN make"});
  progress_.draw();
  progress_.finish(first, Outcome::cached);
  progress_.draw();
  EXPECT_THAT(terminal_.lines(), ElementsAre(" cached  FROM alpine",
                                             "         RUN make                            0.0s",
                                             "         1 running, 0 done, 1 cached         0.0s"));
  progress_.close();
}

TEST_F(TtyProgressTest, WritesNothingWhenNothingHasChanged) {
  progress_.start({"", "", "RUN make"});
  progress_.draw();
  progress_.close();
  const int before = writes_;
  progress_.close();
  EXPECT_EQ(writes_, before);
}

TEST_F(TtyProgressTest, LogLinesGoAboveTheLiveOnes) {
  progress_.start({"", "", "RUN make"});
  progress_.draw();
  progress_.log_line("warning: mind \x1b[31mthis");
  progress_.draw();
  EXPECT_EQ(terminal_.lines().front(), "warning: mind this");
  EXPECT_EQ(terminal_.lines().size(), 3U);
  progress_.close();
  EXPECT_THAT(terminal_.lines(), ElementsAre("warning: mind this"));
}

TEST_F(TtyProgressTest, LogLinesBeforeTheFirstTaskAreShownAtOnce) {
  progress_.log_line("warning: early");
  EXPECT_THAT(terminal_.lines(), ElementsAre("warning: early"));
}

TEST_F(TtyProgressTest, DrawsByItself) {
  progress_.start({"", "", "RUN make"});
  for (int i = 0; i < 100 && writes_ == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  progress_.close();
  EXPECT_GT(writes_, 0);
}

TEST_F(TtyProgressTest, ManyThreadsMayReportAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([this] {
      for (int i = 0; i < 200; ++i) {
        const TaskId id = progress_.start({"g", "", "RUN x"});
        progress_.output(id, bytes_of("line\n"));
        progress_.bytes(id, "blob", 1, 2);
        progress_.note(id, "note");
        progress_.finish(id, Outcome::skipped);
      }
    });
  for (std::thread& thread : threads) thread.join();
  progress_.close();
  EXPECT_EQ(terminal_.lines().size(), 800U);
}

}  // namespace
}  // namespace strake::cli
