#include "layers/base/trace.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>

namespace strake::base {
namespace {

std::chrono::nanoseconds end_of(const TraceEvent& event) {
  return event.start + event.duration;
}

TEST(Trace, RecordsNothingWhenNobodyAsks) {
  { const TraceSpan span("before"); }
  TraceRecording recording;
  EXPECT_TRUE(recording.stop().empty());
  { const TraceSpan span("after"); }
  EXPECT_TRUE(recording.stop().empty());
}

TEST(Trace, SpansOfAThreadNest) {
  TraceRecording recording;
  {
    TraceSpan outer("outer", "a layer");
    outer.add_bytes(7);
    { const TraceSpan inner("inner"); }
    outer.add_bytes(5);
  }
  { const TraceSpan next("next"); }
  const std::vector<TraceLane> lanes = recording.stop();
  ASSERT_EQ(lanes.size(), 1U);
  const std::vector<TraceEvent>& events = lanes[0].events;
  ASSERT_EQ(events.size(), 3U);
  EXPECT_STREQ(events[0].name, "outer");
  EXPECT_EQ(events[0].detail, "a layer");
  EXPECT_EQ(events[0].bytes, 12U);
  EXPECT_STREQ(events[1].name, "inner");
  EXPECT_LE(events[0].start, events[1].start);
  EXPECT_LE(end_of(events[1]), end_of(events[0]));
  EXPECT_STREQ(events[2].name, "next");
  EXPECT_LE(end_of(events[0]), events[2].start);
}

TEST(Trace, ASpanThatHasNotEndedIsShownUntilNow) {
  TraceRecording recording;
  std::optional<TraceSpan> span(std::in_place, "endless");
  const std::vector<TraceLane> lanes = recording.stop();
  ASSERT_EQ(lanes.size(), 1U);
  EXPECT_GT(lanes[0].events.at(0).duration.count(), 0);
  span.reset();  // its event is gone: nothing may happen

  TraceRecording second;
  EXPECT_TRUE(second.stop().empty());
}

TEST(Trace, ThreadsOfANameShareALineOneAfterTheOther) {
  TraceRecording recording;
  for (int i = 0; i < 3; ++i)
    std::thread([] {
      name_trace_thread("one at a time");
      const TraceSpan span("work");
    }).join();
  const std::vector<TraceLane> lanes = recording.stop();
  ASSERT_EQ(lanes.size(), 1U);
  EXPECT_EQ(lanes[0].name, "one at a time");
  EXPECT_EQ(lanes[0].events.size(), 3U);
}

TEST(Trace, ThreadsAtTheSameTimeHaveLinesOfTheirOwn) {
  TraceRecording recording;
  std::vector<std::thread> threads;
  std::atomic<int> inside = 0;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      name_trace_thread("together");
      const TraceSpan span("work");
      ++inside;
      while (inside < 4) std::this_thread::yield();
    });
  for (std::thread& thread : threads) thread.join();
  const std::vector<TraceLane> lanes = recording.stop();
  ASSERT_EQ(lanes.size(), 4U);
  for (const TraceLane& lane : lanes) EXPECT_EQ(lane.events.size(), 1U);
}

TEST(Trace, StopsWhileThreadsAreInSpans) {
  std::atomic<bool> over = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!over) const TraceSpan span("busy");
    });
  for (int i = 0; i < 20; ++i) {
    TraceRecording recording;
    std::this_thread::yield();
    for (const TraceLane& lane : recording.stop())
      for (const TraceEvent& event : lane.events) {
        EXPECT_GE(event.start.count(), 0);
        EXPECT_GE(event.duration.count(), 0);
      }
  }
  over = true;
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace strake::base
