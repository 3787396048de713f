#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "builder/cli/progress.h"
#include "builder/cli/step_output.h"

namespace strake::cli {

/// A transfer or hashing job within a task.
struct Transfer {
  std::string item;
  std::uint64_t done_bytes = 0, total_bytes = 0;  // total 0: unknown
  TimePoint began{}, reported{};                  // reported: when a line was last printed of it
  bool finished = false;
};

struct Task {
  int number = 0;     // counted from 1
  std::string title;  // "[linux/arm64 build 3/7] RUN make", redacted and printable
  std::string group;
  TimePoint started{};
  StepTail tail{};
  LineCutter cutter{};  // of the plain display
  std::vector<Transfer> transfers{};
  std::string note{};
};

/// The tasks that are running, and what is worth keeping of those that failed. Not thread-safe:
/// each display guards its own.
class TaskTable {
 public:
  /// `title` as task_title() makes it.
  builder::TaskId start(std::string title, std::string group, TimePoint now);
  /// nullptr once it is finished.
  Task* find(builder::TaskId id);
  /// Takes the task out; of a failed one the tail goes into the report.
  std::unique_ptr<Task> finish(builder::TaskId id, builder::Outcome outcome);
  Transfer& transfer(Task& task, const std::string& item, TimePoint now);

  /// The end of a running task's output, with its title; "" if it said nothing.
  std::string report_of(builder::TaskId id);

  /// In the order they were started.
  std::vector<const Task*> running() const;
  const std::string& failure_report() const noexcept { return failure_report_; }

 private:
  std::vector<std::unique_ptr<Task>> tasks_;  // by TaskId; empty when finished
  std::size_t first_running_ = 0;
  std::string failure_report_;
};

/// "[linux/arm64 build 3/7] RUN make", one printable line without secrets.
std::string task_title(const builder::TaskInfo& info);

}  // namespace strake::cli
