#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "layers/base/error.h"

namespace strake::builder {

enum class TaskId : std::uint32_t {};

enum class Outcome { done, cached, skipped, failed, cancelled };

/// What a task is, as shown. A task is a step of the plan, the pull of a base, or an output.
struct TaskInfo {
  std::string group;  // "linux/arm64 build": tasks of one stage stand together; "" for the build
  std::string label;  // "3/7", or "" when there is no count
  std::string title;  // "RUN pip install -r requirements.txt", "pull docker.io/library/alpine:3.20"
};

/// Hears what a build does. Every member may be called from any thread. Implementations draw
/// (terminal), print lines (plain) or stay silent (quiet); the build never waits for them longer
/// than a write takes.
class Progress {
 public:
  virtual ~Progress() = default;

  virtual TaskId start(const TaskInfo& task) = 0;
  /// Raw output of the RUN step `task`, as it comes.
  virtual void output(TaskId task, std::span<const std::byte> bytes) = 0;
  /// One transfer or hashing job within `task`: `item` names it ("sha256:5f70bf18", "context"),
  /// total 0 is unknown. The last call for an item has done == total.
  virtual void bytes(TaskId task, const std::string& item, std::uint64_t done,
                     std::uint64_t total) = 0;
  /// One line about the task: why it missed the cache, what it waits for.
  virtual void note(TaskId task, const std::string& line) = 0;
  virtual void finish(TaskId task, Outcome outcome) = 0;
  /// A line about the build as a whole.
  virtual void message(const std::string& line) = 0;
};

}  // namespace strake::builder
