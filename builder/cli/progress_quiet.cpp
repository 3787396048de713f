#include "builder/cli/progress_quiet.h"

#include <utility>

#include "builder/cli/terminal_text.h"

namespace strake::cli {

builder::TaskId QuietProgress::start(const builder::TaskInfo& info) {
  std::string title = task_title(info);
  const std::lock_guard lock(mutex_);
  return tasks_.start(std::move(title), info.group, TimePoint());
}

void QuietProgress::output(builder::TaskId id, std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  if (Task* task = tasks_.find(id)) task->tail.append(base::text_of(bytes));
}

void QuietProgress::finish(builder::TaskId id, builder::Outcome outcome) {
  const std::lock_guard lock(mutex_);
  tasks_.finish(id, outcome);
}

std::string QuietProgress::failure_report() const {
  const std::lock_guard lock(mutex_);
  return tasks_.failure_report();
}

void QuietProgress::log_line(const std::string& line) {
  const std::string shown = printable(line) + "\n";
  const std::lock_guard lock(mutex_);
  if (suspended_)
    held_ += shown;
  else
    out_->write(base::bytes_of(shown));
}

void QuietProgress::suspend() {
  const std::lock_guard lock(mutex_);
  suspended_ = true;
}

void QuietProgress::resume() {
  const std::lock_guard lock(mutex_);
  suspended_ = false;
  out_->write(base::bytes_of(std::exchange(held_, {})));
}

std::string QuietProgress::report_of(builder::TaskId id) {
  const std::lock_guard lock(mutex_);
  return tasks_.report_of(id);
}

}  // namespace strake::cli
