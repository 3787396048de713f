#include "builder/exec/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <mutex>
#include <thread>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

using Inputs = std::vector<std::vector<std::size_t>>;

TEST(Scheduler, InputsFinishBeforeTheirUsers) {
  const Inputs inputs = {{}, {0}, {0}, {1, 2}, {3}};
  std::mutex mutex;
  std::vector<std::size_t> order;
  std::stop_source stop;
  const auto note = [&](std::size_t item) {
    const std::lock_guard lock(mutex);
    for (const std::size_t input : inputs[item]) EXPECT_THAT(order, testing::Contains(input));
    order.push_back(item);
  };
  run_schedule(
      inputs, 4, [&](std::size_t item) { return item % 2 == 0 ? (note(item), true) : false; }, note,
      stop);
  EXPECT_EQ(order.size(), inputs.size());
}

TEST(Scheduler, IndependentItemsRunAtTheSameTime) {
  std::latch both(2);
  std::stop_source stop;
  run_schedule(
      Inputs{{}, {}}, 2, [](std::size_t) { return false; },
      [&](std::size_t) { both.arrive_and_wait(); }, stop);
}

TEST(Scheduler, ItemsThatAreAloneNeedNoThread) {
  std::vector<std::thread::id> threads;
  std::stop_source stop;
  run_schedule(
      Inputs{{}, {0}, {1}}, 4, [](std::size_t item) { return item == 1; },
      [&](std::size_t) { threads.push_back(std::this_thread::get_id()); }, stop);
  EXPECT_THAT(threads,
              testing::ElementsAre(std::this_thread::get_id(), std::this_thread::get_id()));
}

TEST(Scheduler, SaysWhenAllThatCouldBeStartedWas) {
  std::stop_source stop;
  std::atomic<int> started = 0;
  std::latch all(3);  // two items, and the news of them
  std::vector<std::pair<SchedulerNext, int>> seen;
  run_schedule(
      Inputs{{}, {}, {0, 1}}, 4, [](std::size_t) { return false; },
      [&](std::size_t item) {
        ++started;
        if (item < 2) all.arrive_and_wait();
      },
      stop,
      [&](SchedulerNext next) {
        if (seen.empty()) all.arrive_and_wait();  // would hang if an item had not been started
        seen.emplace_back(next, started);
      });
  EXPECT_EQ(seen.front(), std::pair(SchedulerNext::waits, 2));
  EXPECT_EQ(seen.back(), std::pair(SchedulerNext::executes, 2));
}

TEST(Scheduler, NoMoreThanTheJobsRunAtOnce) {
  std::atomic<int> running = 0, most = 0;
  std::stop_source stop;
  run_schedule(
      Inputs(8), 2, [](std::size_t) { return false; },
      [&](std::size_t) {
        const int now = ++running;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) continue;
        std::this_thread::yield();
        --running;
      },
      stop);
  EXPECT_LE(most, 2);
}

TEST(Scheduler, TheFirstErrorStopsTheRestAndComesOut) {
  std::atomic<int> executed = 0;
  std::stop_source stop;
  const Inputs inputs = {{}, {0}, {1}};
  EXPECT_THROW(run_schedule(
                   inputs, 1, [](std::size_t) { return false; },
                   [&](std::size_t) {
                     ++executed;
                     throw base::Error(base::ErrorCode::step_failed, "no");
                   },
                   stop),
               base::Error);
  EXPECT_EQ(executed, 1);
  EXPECT_TRUE(stop.stop_requested());
}

TEST(Scheduler, AnErrorOfTheProbeComesOutToo) {
  std::stop_source stop;
  EXPECT_THROW(run_schedule(
                   Inputs{{}}, 1,
                   [](std::size_t) -> bool { throw base::Error(base::ErrorCode::not_found, "no"); },
                   [](std::size_t) {}, stop),
               base::Error);
}

TEST(Scheduler, AStopFromOutsideIsACancelledBuild) {
  std::stop_source stop;
  try {
    run_schedule(
        Inputs{{}, {0}}, 1, [](std::size_t) { return false; },
        [&](std::size_t) { stop.request_stop(); }, stop);
    FAIL() << "not cancelled";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::cancelled);
  }
}

}  // namespace
}  // namespace strake::builder
