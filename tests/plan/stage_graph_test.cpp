#include "builder/plan/stage_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/plan/plan_support.h"

namespace strake::plan {
namespace {

using testing::HasSubstr;

StageGraph graph_of(const std::string& text, const PlanOptions& options = options_for(),
                    const ResolvedImages& images = {}) {
  return make_graph(parsed(text), options, images);
}

std::string failure_of(const std::string& text, const PlanOptions& options = options_for()) {
  try {
    graph_of(text, options);
  } catch (const base::Error& error) {
    return std::string(error.what()) + " | " + error.hint() + " | line " +
           (error.location() ? std::to_string(error.location()->first_line) : "?");
  }
  return "no error";
}

TEST(StageGraph, OnlyWhatTheTargetReachesIsNeeded) {
  const StageGraph graph = graph_of(
      "FROM scratch AS a\nFROM scratch AS unused\nFROM a AS b\nFROM scratch\nCOPY --from=b / /\n");
  ASSERT_EQ(graph.stages.size(), 4U);
  EXPECT_TRUE(graph.stages[0].needed);
  EXPECT_FALSE(graph.stages[1].needed);
  EXPECT_TRUE(graph.stages[2].needed);
  EXPECT_TRUE(graph.stages[3].needed);
}

TEST(StageGraph, ImagesOfStagesThatAreNotNeededAreNotRequired) {
  const StageGraph graph =
      graph_of("FROM debian AS unused\nFROM alpine\nCOPY --from=busybox /bin /bin\n");
  const auto required = graph.required_images();
  ASSERT_EQ(required.size(), 2U);
  EXPECT_EQ(required.begin()->first.image.familiar(), "alpine:latest");
  EXPECT_EQ(required.begin()->second.first_line, 2);
  EXPECT_EQ(std::next(required.begin())->first.image.familiar(), "busybox:latest");
  EXPECT_EQ(std::next(required.begin())->second.first_line, 3);
}

// Rule 17: ARGs before FROM are visible in FROM lines and to later such ARGs.
TEST(StageGraph, GlobalArgsExpandInFromWithBuildArgsFirst) {
  PlanOptions options = options_for();
  options.build_args["VERSION"] = "3.20";
  const StageGraph graph =
      graph_of("ARG VERSION=1\nARG BASE=alpine:$VERSION\nFROM ${BASE}\n", options);
  EXPECT_EQ(std::get<ImageRequest>(graph.stages[0].base).image.familiar(), "alpine:3.20");
}

// Rule 23: BUILDPLATFORM is the platform of this machine.
TEST(StageGraph, PlatformFlagKnowsThePlatformArgs) {
  const StageGraph graph = graph_of(
      "FROM --platform=$BUILDPLATFORM alpine AS tools\nFROM alpine\nCOPY --from=tools /x /x\n",
      options_for("linux/arm64"));
  EXPECT_EQ(graph.stages[0].platform.str(), "linux/amd64");
  EXPECT_EQ(graph.stages[1].platform.str(), "linux/arm64");
}

// Rule 51: stage names ignore case.
TEST(StageGraph, StageNamesIgnoreCaseAndTheLastOneBeforeCounts) {
  const StageGraph graph = graph_of("FROM scratch AS Base\nFROM scratch AS base\nFROM BASE\n");
  EXPECT_EQ(std::get<StageBase>(graph.stages[2].base).stage, 1U);
}

TEST(StageGraph, TargetsAreNamesOrNumbers) {
  PlanOptions options = options_for();
  options.target = "A";
  EXPECT_EQ(graph_of("FROM scratch AS a\nFROM scratch AS b\n", options).target, 0U);
  options.target = "1";
  EXPECT_EQ(graph_of("FROM scratch AS a\nFROM scratch AS b\n", options).target, 1U);
  options.target = "buidl";
  EXPECT_THAT(failure_of("FROM scratch AS build\n", options), HasSubstr("did you mean \"build\"?"));
}

// Rule 51: later stages and the stage itself are errors.
TEST(StageGraph, RefusesUseOfLaterStagesAndOfItself) {
  EXPECT_THAT(failure_of("FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\n"),
              HasSubstr("it comes after this one"));
  EXPECT_THAT(failure_of("FROM scratch AS a\nCOPY --from=a / /\n"),
              HasSubstr("it is this very stage"));
  EXPECT_THAT(failure_of("FROM scratch\nCOPY --from=7 / /\n"), HasSubstr("no stage number 7"));
  EXPECT_THAT(failure_of("FROM scratch\nCOPY --from=$X / /\n"), HasSubstr("variable"));
}

TEST(StageGraph, RefusesAnEmptyBaseAndAnEmptyPlatform) {
  EXPECT_THAT(failure_of("ARG B\nFROM $B\n"), HasSubstr("is empty"));
  EXPECT_THAT(failure_of("ARG B\nFROM $B\n"), HasSubstr("line 2"));
  EXPECT_THAT(failure_of("ARG P\nFROM --platform=$P scratch\n"), HasSubstr("is empty"));
}

// Rule 65: triggers of the base come before the own instructions.
TEST(StageGraph, TriggersOfAnImageComeFirstAndMayNeedFurtherImages) {
  const std::string text = "FROM trigger\nENV B=2\n";
  const StageGraph before = graph_of(text);
  EXPECT_FALSE(before.stages[0].base_known);
  ResolvedImages images;
  images.insert(image("trigger", {.on_build = {"COPY --from=other /x /x", "ENV A=1"}}));
  const StageGraph after = graph_of(text, options_for(), images);
  ASSERT_EQ(after.stages[0].instructions.size(), 3U);
  EXPECT_EQ(after.stages[0].instructions[0].name, "COPY");
  EXPECT_EQ(after.required_images().size(), 2U);
}

// Rule 65: triggers of a base stage fire, and are not inherited further.
TEST(StageGraph, TriggersOfAStageFireInStagesBuiltFromIt) {
  const StageGraph graph = graph_of("FROM scratch AS a\nONBUILD ENV A=1\nFROM a AS b\nFROM b\n");
  EXPECT_EQ(graph.stages[1].instructions.size(), 1U);
  EXPECT_EQ(graph.stages[2].instructions.size(), 0U);
}

}  // namespace
}  // namespace strake::plan
