#include "layers/base/worker_pool.h"

#include <sched.h>

#include <algorithm>
#include <system_error>

#include "layers/base/error.h"
#include "layers/base/trace.h"

namespace strake::base {

WorkerPool::WorkerPool(std::size_t threads) : limit_(std::max<std::size_t>(threads, 1)) {}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::enqueue(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    if (idle_ < jobs_.size() && threads_.size() < limit_) start_thread();
  }
  wake_.notify_one();
}

void WorkerPool::start() {
  const std::lock_guard lock(mutex_);
  try {
    while (threads_.size() < limit_) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // Whoever submits work is told if there are none at all.
  }
}

void WorkerPool::start_thread() {
  try {
    threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    // With fewer threads than wanted the work takes longer; with none it would never be done.
    if (!threads_.empty()) return;
    jobs_.pop_back();
    throw system_error(error.code().value(), "start", "worker thread");
  }
}

void WorkerPool::work() {
  name_trace_thread("worker");
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what the job captured must not outlive it
    lock.lock();
  }
}

WorkerPool& WorkerPool::shared() {
  static WorkerPool pool(usable_processors());
  return pool;
}

std::size_t usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0)
    return std::max(1U, std::thread::hardware_concurrency());
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
}

}  // namespace strake::base
