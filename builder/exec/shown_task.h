#pragma once

#include "builder/exec/progress.h"
#include "layers/base/error.h"

namespace strake::builder {

/// A task on the display for as long as the object lives. It has failed unless told otherwise.
class ShownTask {
 public:
  ShownTask(Progress& progress, const TaskInfo& task)
      : progress_(progress), id_(progress.start(task)) {}
  ShownTask(const ShownTask&) = delete;
  ShownTask& operator=(const ShownTask&) = delete;
  ~ShownTask() { progress_.finish(id_, outcome_); }

  TaskId id() const noexcept { return id_; }
  void set(Outcome outcome) noexcept { outcome_ = outcome; }
  /// What it ends as when `error` ends it.
  void set(const base::Error& error) noexcept {
    outcome_ = error.code() == base::ErrorCode::cancelled ? Outcome::cancelled : Outcome::failed;
  }

 private:
  Progress& progress_;
  TaskId id_;
  Outcome outcome_ = Outcome::failed;
};

}  // namespace strake::builder
