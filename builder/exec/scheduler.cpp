#include "builder/exec/scheduler.h"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <queue>
#include <thread>

#include "layers/base/error.h"
#include "layers/base/trace.h"

namespace strake::builder {
namespace {

/// What executing threads tell the scheduling thread.
class Completions {
 public:
  void add(std::size_t item, std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex_);
      finished_.emplace(item, std::move(error));
    }
    wake_.notify_one();
  }

  std::pair<std::size_t, std::exception_ptr> wait() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !finished_.empty(); });
    auto first = std::move(finished_.front());
    finished_.pop();
    return first;
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::queue<std::pair<std::size_t, std::exception_ptr>> finished_;
};

class Schedule {
 public:
  explicit Schedule(std::span<const std::vector<std::size_t>> inputs)
      : missing_(inputs.size()), users_(inputs.size()), left_(inputs.size()) {
    for (std::size_t item = 0; item < inputs.size(); ++item) {
      missing_[item] = inputs[item].size();
      for (const std::size_t input : inputs[item]) users_[input].push_back(item);
      if (missing_[item] == 0) ready_.push(item);
    }
  }

  bool finished() const { return left_ == 0; }
  bool has_ready() const { return !ready_.empty(); }

  std::size_t take_ready() {
    const std::size_t item = ready_.top();
    ready_.pop();
    return item;
  }

  void complete(std::size_t item) {
    --left_;
    for (const std::size_t user : users_[item])
      if (--missing_[user] == 0) ready_.push(user);
  }

 private:
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready_;
  std::vector<std::size_t> missing_;  // inputs not finished yet
  std::vector<std::vector<std::size_t>> users_;
  std::size_t left_;
};

}  // namespace

void run_schedule(std::span<const std::vector<std::size_t>> inputs, std::size_t jobs,
                  const std::function<bool(std::size_t)>& probe,
                  const std::function<void(std::size_t)>& execute, std::stop_source& stop,
                  const std::function<void(SchedulerNext)>& all_started) {
  Schedule schedule(inputs);
  Completions completions;
  std::vector<std::jthread> threads;
  std::size_t running = 0;
  std::exception_ptr first_error;

  const auto fail = [&](std::exception_ptr error) {
    if (first_error == nullptr) first_error = std::move(error);
    stop.request_stop();
  };

  const auto run_here = [&](std::size_t item) {
    try {
      if (all_started) all_started(SchedulerNext::executes);
      execute(item);
      schedule.complete(item);
    } catch (...) {  // carried to the end, where it is thrown again
      fail(std::current_exception());
    }
  };

  while (!schedule.finished()) {
    while (first_error == nullptr && !stop.stop_requested() && schedule.has_ready() &&
           running < jobs) {
      const std::size_t item = schedule.take_ready();
      try {
        if (probe(item)) {
          schedule.complete(item);
          continue;
        }
      } catch (...) {  // carried to the end, where it is thrown again
        fail(std::current_exception());
        break;
      }
      // Nothing else can be done meanwhile: no need for a thread.
      if (running == 0 && !schedule.has_ready()) {
        run_here(item);
        continue;
      }
      ++running;
      threads.emplace_back([&execute, &completions, item] {
        base::name_trace_thread("step");
        std::exception_ptr error;
        try {
          execute(item);
        } catch (...) {  // the edge of a thread: the scheduling thread throws it again
          error = std::current_exception();
        }
        completions.add(item, std::move(error));
      });
    }
    if (running == 0) break;
    if (all_started) all_started(SchedulerNext::waits);
    auto [item, error] = completions.wait();
    --running;
    if (error != nullptr) {
      fail(std::move(error));
    } else {
      schedule.complete(item);
    }
  }
  threads.clear();
  if (first_error != nullptr) std::rethrow_exception(first_error);
  if (stop.stop_requested() && !schedule.finished())
    throw base::Error(base::ErrorCode::cancelled, "the build was cancelled");
}

}  // namespace strake::builder
