#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "layers/base/worker_pool.h"

namespace strake::base {

/// Does jobs on the threads of a pool and hands their results on in the order of submission.
///
/// A job is what its `Slot` says: the submitting thread fills one (next(), submit()), `run` works
/// on it on any thread, several at once, and `consume` takes it on the submitting thread, in order.
/// Slots are used again with all that is in them, so that their buffers are allocated once.
///
///     OrderedJobs<Block> jobs(compress, [&](Block& block) { out.write(block.output); }, 4);
///     while (fill(jobs.next().input)) jobs.submit();
///     jobs.finish();
///
/// At most `window` slots exist. A thread that waits for a job that nobody began does it itself: so
/// work goes on even if all threads of the pool are busy, or use jobs of their own.
///
/// What `run` throws comes out of next() or finish() when it is the job's turn. After an exception
/// the object can only be destroyed: that drops the jobs not yet begun and waits for the others.
template <typename Slot>
class OrderedJobs {
 public:
  using Work = std::function<void(Slot&)>;

  OrderedJobs(Work run, Work consume, std::size_t window, WorkerPool& pool = WorkerPool::shared())
      : shared_(std::make_shared<Shared>(std::move(run))),
        consume_(std::move(consume)),
        window_(window > 0 ? window : 1),
        pool_(pool) {}
  OrderedJobs(const OrderedJobs&) = delete;
  OrderedJobs& operator=(const OrderedJobs&) = delete;

  ~OrderedJobs() {
    std::unique_lock lock(shared_->mutex);
    for (const std::shared_ptr<Job>& job : in_flight_) {
      if (job->state == State::waiting) job->state = State::idle;
      shared_->done.wait(lock, [&] { return job->state != State::running; });
    }
  }

  /// The slot to fill, the same one until submit(). It has what its last use left in it. Consumes
  /// the oldest job when the window is full.
  Slot& next() {
    if (!filling_) filling_ = free_job();
    return filling_->slot;
  }

  /// Hands the slot of next() over.
  void submit() {
    submit_unannounced();
    // The pool may look at a job long after it was done, used again, or dropped: then it finds
    // nothing to do, or does what is waiting in it by now.
    pool_.submit([job = in_flight_.back(), shared = shared_] { shared->run_if_waiting(*job); });
  }

  /// The same, without waking a thread of the pool: for a last job, which this thread would only
  /// wait for. It does it when the job is consumed.
  void submit_unannounced() {
    next();
    {
      const std::lock_guard lock(shared_->mutex);
      filling_->state = State::waiting;
    }
    in_flight_.push_back(std::exchange(filling_, nullptr));
  }

  /// The same for the last job of all: if it is the only one, it is not worth a thread.
  void submit_last() {
    if (in_flight_.empty()) return submit_unannounced();
    submit();
  }

  /// Consumes the oldest job. Precondition: in_flight() > 0.
  void consume_oldest() {
    const std::shared_ptr<Job> job = in_flight_.front();
    shared_->run_if_waiting(*job);
    {
      std::unique_lock lock(shared_->mutex);
      shared_->done.wait(lock, [&] { return job->state == State::done; });
      job->state = State::idle;
    }
    in_flight_.pop_front();
    if (job->error) std::rethrow_exception(std::exchange(job->error, nullptr));
    consume_(job->slot);
    free_.push_back(job);
  }

  /// Consumes all that was submitted.
  void finish() {
    while (!in_flight_.empty()) consume_oldest();
  }

  std::size_t in_flight() const noexcept { return in_flight_.size(); }

 private:
  enum class State { idle, waiting, running, done };

  struct Job {
    Slot slot{};
    State state = State::idle;
    std::exception_ptr error;
  };

  /// What jobs need that the pool still knows of when the OrderedJobs is gone.
  struct Shared {
    explicit Shared(Work work) : run(std::move(work)) {}

    void run_if_waiting(Job& job) {
      {
        const std::lock_guard lock(mutex);
        if (job.state != State::waiting) return;
        job.state = State::running;
      }
      std::exception_ptr error;
      try {
        run(job.slot);
      } catch (...) {  // the edge of a thread: consume_oldest() throws it again
        error = std::current_exception();
      }
      // Notified under the lock: once it sees `done`, the owner may go.
      const std::lock_guard lock(mutex);
      job.error = error;
      job.state = State::done;
      done.notify_all();
    }

    const Work run;
    std::mutex mutex;  // guards the states
    std::condition_variable done;
  };

  std::shared_ptr<Job> free_job() {
    if (free_.empty() && in_flight_.size() < window_) return std::make_shared<Job>();
    if (free_.empty()) consume_oldest();
    std::shared_ptr<Job> job = std::move(free_.back());
    free_.pop_back();
    return job;
  }

  const std::shared_ptr<Shared> shared_;
  const Work consume_;
  const std::size_t window_;
  WorkerPool& pool_;
  std::shared_ptr<Job> filling_;
  std::deque<std::shared_ptr<Job>> in_flight_;  // oldest first
  std::vector<std::shared_ptr<Job>> free_;
};

}  // namespace strake::base
