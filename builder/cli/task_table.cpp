#include "builder/cli/task_table.h"

#include <algorithm>

#include "builder/cli/terminal_text.h"

namespace strake::cli {
namespace {

std::string end_of_output(const Task& task) {
  std::string report;
  for (const std::string& line : task.tail.lines()) report += "  | " + printable(line) + "\n";
  if (report.empty()) return "";
  return "last output of " + task.title + ":\n" + report;
}

}  // namespace

builder::TaskId TaskTable::start(std::string title, std::string group, TimePoint now) {
  auto task = std::make_unique<Task>();
  task->number = static_cast<int>(tasks_.size()) + 1;
  task->title = std::move(title);
  task->group = std::move(group);
  task->started = now;
  tasks_.push_back(std::move(task));
  return static_cast<builder::TaskId>(tasks_.size() - 1);
}

Task* TaskTable::find(builder::TaskId id) {
  const auto index = static_cast<std::size_t>(id);
  return index < tasks_.size() ? tasks_[index].get() : nullptr;
}

std::unique_ptr<Task> TaskTable::finish(builder::TaskId id, builder::Outcome outcome) {
  if (find(id) == nullptr) return nullptr;
  std::unique_ptr<Task> task = std::move(tasks_[static_cast<std::size_t>(id)]);
  while (first_running_ < tasks_.size() && !tasks_[first_running_]) ++first_running_;
  if (outcome == builder::Outcome::failed) failure_report_ += end_of_output(*task);
  return task;
}

std::string TaskTable::report_of(builder::TaskId id) {
  const Task* task = find(id);
  return task == nullptr ? "" : end_of_output(*task);
}

Transfer& TaskTable::transfer(Task& task, const std::string& item, TimePoint now) {
  const auto found = std::find_if(task.transfers.begin(), task.transfers.end(),
                                  [&](const Transfer& transfer) { return transfer.item == item; });
  if (found != task.transfers.end()) return *found;
  return task.transfers.emplace_back(Transfer{.item = item, .began = now, .reported = now});
}

std::vector<const Task*> TaskTable::running() const {
  std::vector<const Task*> running;
  for (std::size_t i = first_running_; i < tasks_.size(); ++i)
    if (tasks_[i]) running.push_back(tasks_[i].get());
  return running;
}

std::string task_title(const builder::TaskInfo& info) {
  std::string place = info.group;
  if (!info.label.empty()) place += (place.empty() ? "" : " ") + info.label;
  const std::string title = place.empty() ? info.title : "[" + place + "] " + info.title;
  // A here-document has several lines; its first one names it.
  return printable(base::redacted(title.substr(0, title.find('\n'))));
}

}  // namespace strake::cli
