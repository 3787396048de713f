#include "layers/base/ordered_jobs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <set>
#include <stdexcept>

namespace strake::base {
namespace {

struct Number {
  int in = 0, out = 0;
};

void submit_numbers(OrderedJobs<Number>& jobs, int count) {
  for (int i = 0; i < count; ++i) {
    jobs.next().in = i;
    jobs.submit();
  }
}

TEST(OrderedJobs, ConsumesResultsInTheOrderOfSubmission) {
  WorkerPool pool(4);
  std::vector<int> results;
  OrderedJobs<Number> jobs([](Number& number) { number.out = 2 * number.in; },
                           [&](Number& number) { results.push_back(number.out); }, 8, pool);
  submit_numbers(jobs, 1000);
  jobs.finish();
  ASSERT_EQ(results.size(), 1000U);
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(results[static_cast<std::size_t>(i)], 2 * i);
}

TEST(OrderedJobs, NeverHasMoreSlotsThanItsWindow) {
  WorkerPool pool(4);
  std::set<const Number*> slots;
  OrderedJobs<Number> jobs([](Number&) {}, [&](Number& slot) { slots.insert(&slot); }, 3, pool);
  for (int i = 0; i < 100; ++i) {
    slots.insert(&jobs.next());
    EXPECT_LT(jobs.in_flight(), 3U);
    jobs.submit();
  }
  jobs.finish();
  EXPECT_LE(slots.size(), 3U);
}

TEST(OrderedJobs, WorksWhenAllThreadsOfThePoolAreBusy) {
  WorkerPool pool(1);
  std::latch over(1);
  auto busy = pool.submit([&] { over.wait(); });
  int sum = 0;
  OrderedJobs<Number> jobs([](Number& number) { number.out = number.in; },
                           [&](Number& number) { sum += number.out; }, 4, pool);
  submit_numbers(jobs, 10);
  jobs.finish();
  over.count_down();
  busy.get();
  EXPECT_EQ(sum, 45);
}

TEST(OrderedJobs, JobsOfThePoolMayUseJobsOfTheirOwn) {
  WorkerPool pool(2);
  std::atomic<int> sum = 0;
  const auto inner = [&](Number&) {
    OrderedJobs<Number> jobs([](Number&) {}, [&](Number&) { ++sum; }, 4, pool);
    submit_numbers(jobs, 10);
    jobs.finish();
  };
  OrderedJobs<Number> jobs(
      inner, [](Number&) {}, 4, pool);
  submit_numbers(jobs, 20);
  jobs.finish();
  EXPECT_EQ(sum, 200);
}

TEST(OrderedJobs, ThrowsWhatAJobThrewWhenItIsItsTurn) {
  WorkerPool pool(2);
  std::vector<int> consumed;
  OrderedJobs<Number> jobs(
      [](Number& number) {
        if (number.in == 5) throw std::runtime_error("five");
      },
      [&](Number& number) { consumed.push_back(number.in); }, 3, pool);
  EXPECT_THROW(
      {
        submit_numbers(jobs, 10);
        jobs.finish();
      },
      std::runtime_error);
  EXPECT_EQ(consumed, (std::vector<int>{0, 1, 2, 3, 4}));
}

TEST(OrderedJobs, AllItsJobsAreOverWhenItIsDestroyed) {
  WorkerPool pool(2);
  std::atomic<int> running = 0, begun = 0;
  for (int round = 0; round < 200; ++round) {
    {
      OrderedJobs<Number> jobs(
          [&](Number&) {
            ++begun;
            ++running;
            std::this_thread::yield();
            --running;
          },
          [](Number&) {}, 8, pool);
      submit_numbers(jobs, 5);
    }
    EXPECT_EQ(running, 0);
    const int before = begun;
    std::this_thread::yield();
    EXPECT_EQ(begun, before);
  }
}

TEST(OrderedJobs, UsesTheBuffersOfItsSlotsAgain) {
  WorkerPool pool(1);
  int allocated = 0;
  OrderedJobs<std::vector<char>> jobs([](std::vector<char>&) {}, [](std::vector<char>&) {}, 2,
                                      pool);
  for (int i = 0; i < 50; ++i) {
    std::vector<char>& buffer = jobs.next();
    allocated += buffer.capacity() < 1000;
    buffer.assign(1000, 'x');
    jobs.submit();
  }
  jobs.finish();
  EXPECT_LE(allocated, 2);
}

}  // namespace
}  // namespace strake::base
