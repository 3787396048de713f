#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace strake::base {

/// A bounded pool for CPU work: hash, compress, decompress, unpack. Threads are started when the
/// first work arrives, so a build that needs none costs none. Jobs must not wait for other jobs of
/// the same pool. All members may be called from any thread.
class WorkerPool {
 public:
  explicit WorkerPool(std::size_t threads);
  ~WorkerPool();  // finishes what was submitted
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  std::size_t size() const noexcept { return limit_; }

  /// Starts all threads now. For who is about to do what keeps others from starting threads for a
  /// while, as loading a library does.
  void start();

  /// Runs `job` on a thread of the pool; the future has its result or its exception. Throws
  /// Error(system) if no thread at all can be started.
  template <typename Job>
  std::future<std::invoke_result_t<Job>> submit(Job job) {
    auto task = std::make_shared<std::packaged_task<std::invoke_result_t<Job>()>>(std::move(job));
    auto result = task->get_future();
    enqueue([task] { (*task)(); });
    return result;
  }

  /// The pool of this process: as many threads as the process may use processors.
  static WorkerPool& shared();

 private:
  void enqueue(std::function<void()> job);
  void start_thread();
  void work();

  const std::size_t limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

/// Processors this process may run on (its affinity mask), at least 1.
std::size_t usable_processors();

}  // namespace strake::base
