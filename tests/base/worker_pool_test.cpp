#include "layers/base/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <iterator>
#include <latch>
#include <stdexcept>

namespace strake::base {
namespace {

TEST(WorkerPool, ReturnsResultsAndExceptions) {
  WorkerPool pool(2);
  auto sum = pool.submit([] { return 40 + 2; });
  auto failure = pool.submit([]() -> int { throw std::runtime_error("no"); });
  auto nothing = pool.submit([] {});
  auto owner = pool.submit([number = std::make_unique<int>(7)] { return *number; });
  EXPECT_EQ(sum.get(), 42);
  EXPECT_THROW(failure.get(), std::runtime_error);
  nothing.get();
  EXPECT_EQ(owner.get(), 7);
}

TEST(WorkerPool, RunsAsManyJobsAtOnceAsItHasThreads) {
  WorkerPool pool(4);
  std::latch all_started(4);
  std::vector<std::future<void>> jobs;
  for (int i = 0; i < 4; ++i) jobs.push_back(pool.submit([&] { all_started.arrive_and_wait(); }));
  for (auto& job : jobs) job.get();  // would hang with fewer threads
}

/// Threads of this process.
std::ptrdiff_t threads() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

TEST(WorkerPool, StartsItsThreadsWithTheFirstWorkOrWhenTold) {
  const auto before = threads();
  WorkerPool pool(3);
  EXPECT_EQ(threads(), before);
  pool.start();
  EXPECT_EQ(threads(), before + 3);
  pool.start();
  pool.submit([] {}).get();
  EXPECT_EQ(threads(), before + 3);
}

TEST(WorkerPool, NeverRunsMoreJobsThanItHasThreads) {
  WorkerPool pool(3);
  std::atomic<int> running{0}, most{0};
  std::vector<std::future<void>> jobs;
  for (int i = 0; i < 300; ++i)
    jobs.push_back(pool.submit([&] {
      const int now = ++running;
      int seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      std::this_thread::yield();
      --running;
    }));
  for (auto& job : jobs) job.get();
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 1);
}

TEST(WorkerPool, FinishesWhatWasSubmittedBeforeItGoes) {
  std::atomic<int> done{0};
  {
    WorkerPool pool(2);
    for (int i = 0; i < 100; ++i) static_cast<void>(pool.submit([&] { ++done; }));
  }
  EXPECT_EQ(done, 100);
}

TEST(WorkerPool, TakesJobsFromManyThreads) {
  WorkerPool pool(2);
  std::atomic<int> done{0};
  {
    std::vector<std::jthread> submitters;
    for (int i = 0; i < 4; ++i)
      submitters.emplace_back([&] {
        for (int job = 0; job < 200; ++job) pool.submit([&] { ++done; }).get();
      });
  }
  EXPECT_EQ(done, 800);
}

TEST(WorkerPool, ReleasesWhatAJobHeldBeforeTheNextOne) {
  WorkerPool pool(1);
  auto held = std::make_shared<int>(1);
  pool.submit([held] {}).get();
  pool.submit([] {}).get();
  EXPECT_EQ(held.use_count(), 1);
}

TEST(WorkerPool, HasAtLeastOneThread) {
  WorkerPool pool(0);
  EXPECT_EQ(pool.size(), 1U);
  EXPECT_EQ(pool.submit([] { return 1; }).get(), 1);
  EXPECT_GE(usable_processors(), 1U);
  EXPECT_EQ(WorkerPool::shared().size(), usable_processors());
}

}  // namespace
}  // namespace strake::base
