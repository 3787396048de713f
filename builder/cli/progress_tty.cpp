#include "builder/cli/progress_tty.h"

#include <algorithm>

namespace strake::cli {
namespace {

constexpr std::chrono::milliseconds kInterval(100);
constexpr std::string_view kClearToEndOfLine = "\x1b[K";
constexpr std::string_view kClearToEndOfScreen = "\x1b[J";

std::string cursor_up(std::size_t rows) {
  return rows == 0 ? "" : "\r\x1b[" + std::to_string(rows) + "A";
}

/// Columns of a drawn line: colours take none.
std::size_t drawn_width(const std::string& line) {
  return display_width(printable(line));
}

}  // namespace

TtyProgress::TtyProgress(std::unique_ptr<base::ByteSink> out, std::function<TerminalSize()> size,
                         const Palette& palette, Now now)
    : out_(std::move(out)), size_(std::move(size)), palette_(palette), now_(now) {}

builder::TaskId TtyProgress::start(const builder::TaskInfo& info) {
  std::string title = task_title(info);
  const std::lock_guard lock(mutex_);
  const TimePoint now = now_();
  if (tally_.began == TimePoint()) tally_.began = now;
  if (!thread_.joinable() && !closed_)
    thread_ = std::jthread([this](const std::stop_token& stop) { draw_until_stopped(stop); });
  return tasks_.start(std::move(title), info.group, now);
}

void TtyProgress::output(builder::TaskId id, std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  if (Task* task = tasks_.find(id)) task->tail.append(base::text_of(bytes));
}

void TtyProgress::bytes(builder::TaskId id, const std::string& item, std::uint64_t done,
                        std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  Task* task = tasks_.find(id);
  if (task == nullptr) return;
  Transfer& transfer = tasks_.transfer(*task, item, now_());
  transfer.done_bytes = done;
  transfer.total_bytes = total;
  transfer.finished = total != 0 && done == total;
}

void TtyProgress::note(builder::TaskId id, const std::string& line) {
  std::string shown = printable(base::redacted(line));
  const std::lock_guard lock(mutex_);
  if (Task* task = tasks_.find(id)) task->note = std::move(shown);
}

void TtyProgress::finish(builder::TaskId id, builder::Outcome outcome) {
  const std::lock_guard lock(mutex_);
  const std::unique_ptr<Task> task = tasks_.finish(id, outcome);
  if (!task) return;
  if (outcome == builder::Outcome::done) ++tally_.done;
  if (outcome == builder::Outcome::cached) ++tally_.cached;
  if (outcome == builder::Outcome::failed) ++tally_.failed;
  above_.push_back(draw_finished(*task, outcome, size_(), now_(), palette_));
  if (!task->note.empty() && outcome != builder::Outcome::skipped)
    above_.push_back(std::string(11, ' ') + palette_.dim(task->note));
}

void TtyProgress::log_line(const std::string& line) {
  const std::lock_guard lock(mutex_);
  above_.push_back(printable(line));
  // Without a drawing thread nobody else would show it.
  if (thread_.joinable() && !closed_) return;
  out_->write(base::bytes_of(above_.back() + "\n"));
  above_.clear();
}

std::string TtyProgress::failure_report() const {
  const std::lock_guard lock(mutex_);
  return tasks_.failure_report();
}

void TtyProgress::draw_until_stopped(const std::stop_token& stop) {
  std::mutex waiting;
  std::unique_lock lock(waiting);
  while (!stop.stop_requested()) {
    stopped_.wait_for(lock, stop, kInterval, [] { return false; });
    if (!stop.stop_requested()) draw();
  }
}

void TtyProgress::draw() {
  const std::lock_guard drawing(drawing_);
  if (is_suspended()) return;
  const std::string text = compose(Frame::live);
  if (!text.empty()) out_->write(base::bytes_of(text));
}

void TtyProgress::close() {
  std::jthread thread;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    closed_ = true;
    thread = std::move(thread_);
  }
  if (thread.joinable()) {
    thread.request_stop();
    thread.join();
  }
  const std::lock_guard drawing(drawing_);
  const std::string text = compose(Frame::none);
  if (!text.empty()) out_->write(base::bytes_of(text));
}

void TtyProgress::suspend() {
  const std::lock_guard drawing(drawing_);
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    suspended_ = true;
  }
  const std::string text = compose(Frame::none);
  if (!text.empty()) out_->write(base::bytes_of(text));
}

void TtyProgress::resume() {
  const std::lock_guard lock(mutex_);
  suspended_ = false;
}

bool TtyProgress::is_suspended() const {
  const std::lock_guard lock(mutex_);
  return suspended_;
}

std::string TtyProgress::report_of(builder::TaskId id) {
  const std::lock_guard lock(mutex_);
  return tasks_.report_of(id);
}

/// The text that turns the screen from what is drawn into what is now; "" if that is the same.
std::string TtyProgress::compose(Frame wanted) {
  const std::lock_guard lock(mutex_);
  const TerminalSize size = size_();
  std::vector<std::string> frame;
  if (wanted == Frame::live) frame = draw_frame(tasks_.running(), tally_, size, now_(), palette_);
  if (above_.empty() && frame == drawn_ && size.columns == drawn_columns_) return "";

  std::string text = cursor_up(rows_drawn(size.columns));
  for (const std::vector<std::string>* lines : {&above_, &frame})
    for (const std::string& line : *lines) text += line + std::string(kClearToEndOfLine) + "\n";
  text += kClearToEndOfScreen;
  above_.clear();
  drawn_ = std::move(frame);
  drawn_columns_ = size.columns;
  return text;
}

/// Rows the drawn frame takes now: a terminal that became narrower has wrapped its lines.
std::size_t TtyProgress::rows_drawn(unsigned columns) const {
  std::size_t rows = 0;
  for (const std::string& line : drawn_)
    rows += std::max<std::size_t>(1, (drawn_width(line) + columns - 1) / std::max(columns, 1U));
  return rows;
}

}  // namespace strake::cli
