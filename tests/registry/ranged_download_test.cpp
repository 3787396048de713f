#include "registry/ranged_download.h"

#include <atomic>
#include <latch>

#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

Segment segment_of(std::uint64_t number) {
  return {std::vector<std::byte>(3, static_cast<std::byte>(number))};
}

/// Takes all segments in order; those that were not fetched ahead count as `missed`.
int deliver(SegmentsAhead& ahead, std::uint64_t from, std::uint64_t count) {
  int missed = 0;
  for (std::uint64_t i = from; i < count; ++i) {
    const auto segment = ahead.take(i, {});
    if (!segment) {
      ++missed;
      continue;
    }
    EXPECT_EQ(segment->bytes, segment_of(i).bytes);
  }
  return missed;
}

TEST(SegmentsAhead, SegmentsComeInOrderWhateverTheOrderTheyWereFetchedIn) {
  std::atomic<int> fetched = 0;
  SegmentsAhead ahead(
      [&](std::uint64_t number, std::stop_token) {
        if (number % 2 == 1) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        ++fetched;
        return std::optional(segment_of(number));
      },
      0, 50, 4);
  while (fetched == 0) std::this_thread::yield();
  const int missed = deliver(ahead, 0, 50);
  EXPECT_EQ(missed + fetched, 50);
}

TEST(SegmentsAhead, NoMoreThanItsWorkersAreAhead) {
  std::atomic<std::uint64_t> turn = 0, furthest = 0;
  SegmentsAhead ahead(
      [&](std::uint64_t number, std::stop_token) {
        EXPECT_LE(number, turn + 3);
        for (std::uint64_t seen = furthest;
             number > seen && !furthest.compare_exchange_weak(seen, number);) {
        }
        return std::optional(segment_of(number));
      },
      0, 40, 3);
  while (furthest < 3) std::this_thread::yield();
  for (std::uint64_t i = 0; i < 40; ++i) {
    turn = i;
    (void)ahead.take(i, {});
  }
}

TEST(SegmentsAhead, WhatCannotBeFetchedNowIsLeftToTheCaller) {
  std::atomic<int> asked = 0;
  SegmentsAhead ahead(
      [&](std::uint64_t, std::stop_token) {
        ++asked;
        return std::optional<Segment>();
      },
      0, 10, 2);
  EXPECT_EQ(deliver(ahead, 0, 10), 10);
  EXPECT_LE(asked, 2 * 11);  // once a worker and turn: nobody spins
}

TEST(SegmentsAhead, FailedSegmentIsTheCallersAlone) {
  SegmentsAhead ahead(
      [&](std::uint64_t number, std::stop_token) {
        if (number == 3) throw base::Error(base::ErrorCode::unavailable, "reset");
        return std::optional(segment_of(number));
      },
      0, 8, 4);
  for (std::uint64_t i = 0; i < 8; ++i) {
    const auto segment = ahead.take(i, {});
    if (i == 3) {
      EXPECT_FALSE(segment);
    }
    if (segment) {
      EXPECT_EQ(segment->bytes, segment_of(i).bytes);
    }
  }
}

TEST(SegmentsAhead, DestructionStopsWhatIsUnderWay) {
  std::latch begun(1);
  std::atomic<bool> stopped = false;
  {
    SegmentsAhead ahead(
        [&](std::uint64_t, std::stop_token stop) {
          begun.count_down();
          while (!stop.stop_requested()) std::this_thread::yield();
          stopped = true;
          return std::optional<Segment>();
        },
        0, 2, 1);
    begun.wait();
  }
  EXPECT_TRUE(stopped);
}

TEST(SegmentsAhead, WaitingForASegmentEndsWhenStopped) {
  std::latch begun(1);
  SegmentsAhead ahead(
      [&](std::uint64_t, std::stop_token stop) {
        begun.count_down();
        while (!stop.stop_requested()) std::this_thread::yield();
        return std::optional<Segment>();
      },
      0, 2, 1);
  begun.wait();
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(testing::code_of([&] { (void)ahead.take(1, stop.get_token()); }),
            base::ErrorCode::cancelled);
}

}  // namespace
}  // namespace strake::registry
