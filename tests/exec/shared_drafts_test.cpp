#include "builder/exec/shared_drafts.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

const oci::Layer kLayer{base::DiffId{base::Digest::of("tar")}, 3};

TEST(SharedDrafts, StepsThatRunAtOnceMakeALayerOnce) {
  SharedDrafts drafts;
  std::atomic<int> made = 0, shared = 0;
  {
    std::vector<std::jthread> steps;
    for (int i = 0; i < 8; ++i)
      steps.emplace_back([&] {
        const auto result = drafts.once(base::Digest::of("draft"), [&]() -> SharedDrafts::Layer {
          ++made;
          std::this_thread::yield();
          return kLayer;
        });
        EXPECT_EQ(result.layer, kLayer);
        if (result.by_another_step) ++shared;
      });
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(shared, 7);
}

TEST(SharedDrafts, NoLayerIsAResultToo) {
  SharedDrafts drafts;
  const auto nothing = [] { return SharedDrafts::Layer(); };
  EXPECT_FALSE(drafts.once(base::Digest::of("draft"), nothing).by_another_step);
  EXPECT_TRUE(drafts.once(base::Digest::of("draft"), nothing).by_another_step);
}

TEST(SharedDrafts, OtherDraftsAreOtherLayers) {
  SharedDrafts drafts;
  drafts.once(base::Digest::of("a"), [] { return SharedDrafts::Layer(); });
  const auto other = drafts.once(base::Digest::of("b"), [] { return SharedDrafts::Layer(kLayer); });
  EXPECT_EQ(other.layer, kLayer);
  EXPECT_FALSE(other.by_another_step);
}

TEST(SharedDrafts, AfterAFailureTheNextStepTries) {
  SharedDrafts drafts;
  const auto fail = []() -> SharedDrafts::Layer {
    throw base::Error(base::ErrorCode::system, "disk full");
  };
  EXPECT_THROW(drafts.once(base::Digest::of("draft"), fail), base::Error);
  const auto result =
      drafts.once(base::Digest::of("draft"), [] { return SharedDrafts::Layer(kLayer); });
  EXPECT_EQ(result.layer, kLayer);
  EXPECT_FALSE(result.by_another_step);
}

}  // namespace
}  // namespace strake::builder
