#include "layers/base/per_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace strake::base {
namespace {

std::atomic<int> alive = 0;

struct Counted {
  Counted() { ++alive; }
  ~Counted() { --alive; }
  int value = 0;
};

TEST(PerThread, EachThreadHasItsOwnUntilItEnds) {
  static PerThread<Counted> objects;
  objects.get().value = 1;
  EXPECT_EQ(&objects.get(), &objects.get());
  EXPECT_EQ(alive, 1);
  std::jthread([] {
    EXPECT_EQ(objects.get().value, 0);
    objects.get().value = 2;
    EXPECT_EQ(alive, 2);
  }).join();
  EXPECT_EQ(alive, 1);
  EXPECT_EQ(objects.get().value, 1);
}

}  // namespace
}  // namespace strake::base
