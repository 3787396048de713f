#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "builder/cli/progress.h"
#include "builder/cli/progress_frame.h"
#include "builder/cli/task_table.h"
#include "layers/base/stream.h"

namespace strake::cli {

/// Live display on a terminal: what runs is redrawn in place ten times a second, what has ended
/// scrolls up as one line. One thread of its own does all the drawing, so that a slow terminal
/// never holds up the build; a build that is over within a tenth of a second is drawn once.
class TtyProgress final : public Display {
 public:
  TtyProgress(std::unique_ptr<base::ByteSink> out, std::function<TerminalSize()> size,
              const Palette& palette, Now now);
  ~TtyProgress() override { close(); }

  builder::TaskId start(const builder::TaskInfo& info) override;
  void output(builder::TaskId id, std::span<const std::byte> bytes) override;
  void bytes(builder::TaskId id, const std::string& item, std::uint64_t done,
             std::uint64_t total) override;
  void note(builder::TaskId id, const std::string& line) override;
  void finish(builder::TaskId id, builder::Outcome outcome) override;
  void close() override;
  void suspend() override;
  void resume() override;
  std::string report_of(builder::TaskId id) override;
  std::string failure_report() const override;
  void log_line(const std::string& line) override;

  /// Draws what has changed since the last time. Called by the drawing thread; by tests directly.
  void draw();

 private:
  enum class Frame { live, none };

  void draw_until_stopped(const std::stop_token& stop);
  bool is_suspended() const;
  std::string compose(Frame frame);
  std::size_t rows_drawn(unsigned columns) const;

  const std::unique_ptr<base::ByteSink> out_;
  const std::function<TerminalSize()> size_;
  const Palette palette_;
  const Now now_;

  std::mutex drawing_;        // held while the terminal is written; taken before mutex_
  mutable std::mutex mutex_;  // guards everything below
  TaskTable tasks_;
  Tally tally_;
  std::vector<std::string> above_;  // lines to leave behind at the next drawing
  std::vector<std::string> drawn_;  // the frame on the screen
  unsigned drawn_columns_ = 0;      // and the width of the screen then
  bool closed_ = false;
  bool suspended_ = false;
  std::condition_variable_any stopped_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace strake::cli
