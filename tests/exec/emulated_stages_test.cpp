#include "builder/exec/emulated_stages.h"

#include <gtest/gtest.h>

#include "tests/plan/plan_support.h"

namespace strake::builder {
namespace {

using namespace std::chrono_literals;

/// A Dockerfile planned for arm64, whose RUN steps take a second each on another architecture.
class EmulatedStages : public testing::Test {
 protected:
  std::vector<EmulatedStage> of(const std::string& dockerfile,
                                const std::string& platform = "linux/arm64") {
    plan::PlanOptions options = plan::options_for(platform);
    options.platform_given = true;
    const plan::StageGraph graph = plan::make_graph(plan::parsed(dockerfile), options, images_);
    const plan::BuildPlan plan = plan::make_plan(graph, options, images_);
    std::vector<StepResult> results(plan.steps.size());
    for (const plan::Step& step : plan.steps)
      if (const auto* run = std::get_if<plan::Run>(&step.operation);
          run != nullptr && run->architecture != "amd64")
        results[static_cast<std::size_t>(step.id)].emulated = 1s;
    return emulated_stages(graph, plan, results,
                           [](const std::string& architecture) { return "qemu-" + architecture; });
  }

  plan::ResolvedImages images_{plan::image("debian", {}, "linux/arm64"),
                               plan::image("debian", {}, "linux/amd64"),
                               plan::image("debian", {}, "linux/arm/v7")};
};

TEST_F(EmulatedStages, SumsTheStepsOfAStage) {
  const auto stages = of("FROM debian AS build\nRUN a\nRUN b\nCOPY . .\n");
  ASSERT_EQ(stages.size(), 1U);
  EXPECT_EQ(stages[0].stage, "build");
  EXPECT_EQ(stages[0].time, 2s);
  EXPECT_EQ(stages[0].platform.str(), "linux/arm64");
  EXPECT_EQ(stages[0].emulator, "qemu-arm64");
  EXPECT_TRUE(stages[0].in_image);
}

TEST_F(EmulatedStages, LeavesOutWhatRanNatively) {
  EXPECT_TRUE(of("FROM debian\nRUN a\n", "linux/amd64").empty());
  const auto stages =
      of("FROM --platform=$BUILDPLATFORM debian AS build\nRUN a\n"
         "FROM debian\nCOPY --from=build /a /\nRUN b\n");
  ASSERT_EQ(stages.size(), 1U);
  EXPECT_EQ(stages[0].stage, "stage-1");
}

TEST_F(EmulatedStages, TellsStagesOfWhichTheImageHasCopiesOnly) {
  const auto stages =
      of("FROM debian AS tools\nRUN a\n"
         "FROM tools AS build\nRUN b\n"
         "FROM debian\nCOPY --from=build /b /\nRUN c\n");
  ASSERT_EQ(stages.size(), 3U);
  EXPECT_FALSE(stages[0].in_image);
  EXPECT_FALSE(stages[1].in_image);
  EXPECT_EQ(stages[1].first_stage, "tools") << "its FROM line decides for the platform";
  EXPECT_TRUE(stages[2].in_image) << "although it has the same base image";
}

TEST_F(EmulatedStages, KnowsThatTheFromOfAStageMayBeTheImagesToo) {
  const auto stages =
      of("FROM debian AS base\n"
         "FROM base AS build\nRUN b\n"
         "FROM base\nCOPY --from=build /b /\n");
  ASSERT_EQ(stages.size(), 1U);
  EXPECT_TRUE(stages[0].in_image);
}

TEST_F(EmulatedStages, KnowsLoneImagesOfAnotherPlatform) {
  auto [request, image] = plan::image("lone", {}, "linux/amd64");
  image.config.platform = oci::parse_platform("linux/riscv64");
  images_.emplace(request, image);
  const auto stages = of("FROM lone\nRUN a\n", "linux/amd64");
  ASSERT_EQ(stages.size(), 1U);
  EXPECT_EQ(stages[0].platform.str(), "linux/riscv64");
  EXPECT_EQ(stages[0].emulator, "qemu-riscv64");
}

TEST_F(EmulatedStages, HasThePlatformOfTheStage) {
  const auto stages =
      of("FROM --platform=linux/arm/v7 debian AS b\nRUN a\nFROM debian\nCOPY --from=b /a /\n");
  ASSERT_EQ(stages.size(), 1U);
  EXPECT_EQ(stages[0].platform.str(), "linux/arm/v7");
}

}  // namespace
}  // namespace strake::builder
