#include "builder/cli/progress_plain.h"

#include <array>
#include <cstdio>
#include <utility>

#include "builder/cli/terminal_text.h"

namespace strake::cli {
namespace {

constexpr std::chrono::seconds kTransferReportInterval(5);
constexpr std::size_t kMostHeldBytes = 1 << 20;

double seconds_since(TimePoint start, TimePoint now) {
  return std::chrono::duration<double>(now - start).count();
}

std::string tag(const Task& task) {
  return "#" + std::to_string(task.number) + " ";
}

std::string_view verdict(builder::Outcome outcome) {
  switch (outcome) {
    case builder::Outcome::done:
      return "DONE";
    case builder::Outcome::cached:
      return "CACHED";
    case builder::Outcome::skipped:
      return "SKIPPED";
    case builder::Outcome::failed:
      return "FAILED";
    case builder::Outcome::cancelled:
      return "CANCELLED";
  }
  return "DONE";
}

bool took_time(builder::Outcome outcome) {
  return outcome != builder::Outcome::cached && outcome != builder::Outcome::skipped;
}

std::string transfer_line(const Task& task, const Transfer& transfer, TimePoint now) {
  std::string line = tag(task) + printable(transfer.item) + " ";
  line += format_bytes(static_cast<double>(transfer.done_bytes));
  if (transfer.total_bytes > transfer.done_bytes)
    line += " / " + format_bytes(static_cast<double>(transfer.total_bytes));
  line += " " + format_seconds(seconds_since(transfer.began, now));
  if (transfer.finished) line += " done";
  return line + "\n";
}

}  // namespace

PlainProgress::PlainProgress(std::unique_ptr<base::ByteSink> out, StepBytes step_bytes, Now now)
    : out_(std::move(out)), step_bytes_(step_bytes), now_(now) {}

void PlainProgress::write(std::string_view text) {
  if (suspended_)
    held_ += text;
  else if (!text.empty())
    out_->write(base::bytes_of(text));
}

void PlainProgress::suspend() {
  const std::lock_guard lock(mutex_);
  suspended_ = true;
}

void PlainProgress::resume() {
  const std::lock_guard lock(mutex_);
  suspended_ = false;
  write(std::exchange(held_, {}));
  resumed_.notify_all();
}

std::string PlainProgress::report_of(builder::TaskId id) {
  const std::lock_guard lock(mutex_);
  return tasks_.report_of(id);
}

builder::TaskId PlainProgress::start(const builder::TaskInfo& info) {
  std::string title = task_title(info);
  const std::lock_guard lock(mutex_);
  const builder::TaskId id = tasks_.start(std::move(title), info.group, now_());
  const Task& task = *tasks_.find(id);
  write(tag(task) + task.title + "\n");
  return id;
}

void PlainProgress::append_step_line(std::string& text, const Task& task,
                                     std::string_view line) const {
  std::array<char, 32> seconds{};
  std::snprintf(seconds.data(), seconds.size(), "%.2f ", seconds_since(task.started, now_()));
  text += tag(task) + seconds.data();
  text += step_bytes_ == StepBytes::neutralised ? printable(line) : std::string(line);
  text += "\n";
}

void PlainProgress::output(builder::TaskId id, std::span<const std::byte> bytes) {
  std::unique_lock lock(mutex_);
  resumed_.wait(lock, [this] { return !suspended_ || held_.size() < kMostHeldBytes; });
  Task* task = tasks_.find(id);
  if (task == nullptr) return;
  task->tail.append(base::text_of(bytes));
  std::string text;
  task->cutter.feed(base::text_of(bytes),
                    [&](std::string_view line, LineEnd) { append_step_line(text, *task, line); });
  write(text);
}

void PlainProgress::bytes(builder::TaskId id, const std::string& item, std::uint64_t done,
                          std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  Task* task = tasks_.find(id);
  if (task == nullptr) return;
  const TimePoint now = now_();
  Transfer& transfer = tasks_.transfer(*task, item, now);
  if (transfer.finished) return;
  transfer.done_bytes = done;
  transfer.total_bytes = total;
  transfer.finished = total != 0 && done == total;
  if (!transfer.finished && now - transfer.reported < kTransferReportInterval) return;
  transfer.reported = now;
  write(transfer_line(*task, transfer, now));
}

void PlainProgress::note(builder::TaskId id, const std::string& line) {
  const std::string shown = printable(base::redacted(line));
  const std::lock_guard lock(mutex_);
  if (const Task* task = tasks_.find(id)) write(tag(*task) + shown + "\n");
}

void PlainProgress::finish(builder::TaskId id, builder::Outcome outcome) {
  const std::lock_guard lock(mutex_);
  const std::unique_ptr<Task> task = tasks_.finish(id, outcome);
  if (!task) return;
  std::string text;
  task->cutter.finish([&](std::string_view line, LineEnd) { append_step_line(text, *task, line); });
  text += tag(*task) + std::string(verdict(outcome));
  if (took_time(outcome)) text += " " + format_seconds(seconds_since(task->started, now_()));
  write(text + "\n");
}

std::string PlainProgress::failure_report() const {
  const std::lock_guard lock(mutex_);
  return tasks_.failure_report();
}

void PlainProgress::log_line(const std::string& line) {
  const std::string shown = printable(line);
  const std::lock_guard lock(mutex_);
  write(shown + "\n");
}

}  // namespace strake::cli
