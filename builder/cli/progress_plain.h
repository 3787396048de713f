#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "builder/cli/progress.h"
#include "builder/cli/task_table.h"
#include "layers/base/stream.h"

namespace strake::cli {

/// What happens to the bytes a step writes.
enum class StepBytes {
  unaltered,    // for files and pipes
  neutralised,  // for terminals: no escape sequences, no control characters
};

/// One line an event, each with the number of its task, so that a log of parallel stages can be
/// read and grepped:
///
///     #3 [build 2/5] RUN make
///     #3 0.12 cc -c main.c
///     #3 DONE 1.2s
///
/// Lines are written whole; the seconds count from the start of the task.
class PlainProgress final : public Display {
 public:
  PlainProgress(std::unique_ptr<base::ByteSink> out, StepBytes step_bytes, Now now);

  builder::TaskId start(const builder::TaskInfo& info) override;
  void output(builder::TaskId id, std::span<const std::byte> bytes) override;
  void bytes(builder::TaskId id, const std::string& item, std::uint64_t done,
             std::uint64_t total) override;
  void note(builder::TaskId id, const std::string& line) override;
  void finish(builder::TaskId id, builder::Outcome outcome) override;
  void close() override {}
  void suspend() override;
  void resume() override;
  std::string report_of(builder::TaskId id) override;
  std::string failure_report() const override;
  void log_line(const std::string& line) override;

 private:
  void append_step_line(std::string& text, const Task& task, std::string_view line) const;
  void write(std::string_view text);

  const std::unique_ptr<base::ByteSink> out_;
  const StepBytes step_bytes_;
  const Now now_;
  mutable std::mutex mutex_;  // guards out_ and what follows
  TaskTable tasks_;
  bool suspended_ = false;
  std::string held_;  // while suspended
  std::condition_variable resumed_;
};

}  // namespace strake::cli
