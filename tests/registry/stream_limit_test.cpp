#include "registry/stream_limit.h"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/registry/expect_error.h"

namespace strake::registry {
namespace {

TEST(StreamLimit, AdmitsNoMoreThanItsNumber) {
  StreamLimit limit(3);
  std::atomic<int> inside = 0, most = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 12; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < 20; ++k) {
          const StreamLimit::Slot slot(limit, {});
          const int now = ++inside;
          for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
          }
          std::this_thread::yield();
          --inside;
        }
      });
    }
  }
  EXPECT_LE(most, 3);
  EXPECT_GE(most, 1);
}

TEST(StreamLimit, WaitingEndsWhenStopped) {
  StreamLimit limit(1);
  const StreamLimit::Slot slot(limit, {});
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  EXPECT_EQ(testing::code_of([&] { StreamLimit::Slot(limit, stop.get_token()); }),
            base::ErrorCode::cancelled);
}

TEST(StreamLimit, NobodyIsAdmittedBeforeThoseWhoWait) {
  StreamLimit limit(2);
  std::optional<StreamLimit::Slot> first = limit.try_admit();
  std::optional<StreamLimit::Slot> second = limit.try_admit();
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(limit.try_admit());

  std::atomic<bool> admitted = false;
  std::jthread waiting([&](std::stop_token stop) {
    const StreamLimit::Slot slot(limit, stop);
    admitted = true;
    while (!stop.stop_requested()) std::this_thread::yield();
  });
  // Until it waits, a slot that is given back may be had; from then on it is that thread's.
  first.reset();
  while (!admitted) {
    const auto mine = limit.try_admit();
    std::this_thread::yield();
  }
  EXPECT_FALSE(limit.try_admit());
  second.reset();
  EXPECT_TRUE(limit.try_admit());
}

TEST(StreamLimit, MovedSlotIsGivenBackOnce) {
  StreamLimit limit(1);
  std::optional<StreamLimit::Slot> slot = limit.try_admit();
  StreamLimit::Slot moved = *std::move(slot);
  slot.reset();
  EXPECT_FALSE(limit.try_admit());
  { const StreamLimit::Slot last = std::move(moved); }
  slot = limit.try_admit();
  EXPECT_TRUE(slot);
  EXPECT_FALSE(limit.try_admit());
}

TEST(StreamLimit, WhoGaveUpDoesNotBlockTheNext) {
  StreamLimit limit(1);
  std::stop_source stop;
  stop.request_stop();
  {
    const StreamLimit::Slot slot(limit, {});
    EXPECT_THROW(StreamLimit::Slot(limit, stop.get_token()), base::Error);
  }
  const StreamLimit::Slot next(limit, {});
}

}  // namespace
}  // namespace strake::registry
