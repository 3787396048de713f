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

// ---- Named contexts

ImageRequest request_of(const std::string& name, const std::string& platform = "linux/amd64") {
  return {oci::parse_reference(name), oci::parse_platform(platform)};
}
bool is_image(const Base& base, const ImageRequest& wanted) {
  const auto* image = std::get_if<ImageRequest>(&base);
  return image != nullptr && !(*image < wanted) && !(wanted < *image);
}

TEST(NamedContexts, StandForTheImageOfTheirNameInAnySpelling) {
  PlanOptions options = options_for();
  options.contexts["alpine"] = oci::parse_reference("registry.example/alpine:1");
  for (const char* name :
       {"alpine", "alpine:latest", "docker.io/alpine", "docker.io/library/alpine:latest"}) {
    const StageGraph graph = graph_of(std::string("FROM ") + name + "\n", options);
    EXPECT_TRUE(is_image(graph.stages[0].base, request_of("registry.example/alpine:1"))) << name;
  }
  EXPECT_TRUE(
      is_image(graph_of("FROM alpine:3\n", options).stages[0].base, request_of("alpine:3")));
}

TEST(NamedContexts, MayBeFilesOrNothing) {
  PlanOptions options = options_for();
  options.contexts["files"] = FileContext{};
  options.contexts["empty"] = EmptyContext{};
  const StageGraph graph = graph_of("FROM files\nFROM empty\n", options);
  EXPECT_EQ(std::get<ContextBase>(graph.stages[0].base).context, "files");
  EXPECT_TRUE(std::holds_alternative<ScratchBase>(graph.stages[1].base));
}

TEST(NamedContexts, MayBeStagesThatComeBefore) {
  PlanOptions options = options_for();
  options.contexts["base"] = StageContext{"real"};
  const StageGraph graph = graph_of("FROM scratch AS real\nFROM base\n", options);
  EXPECT_EQ(std::get<StageBase>(graph.stages[1].base).stage, 0U);
  EXPECT_TRUE(graph.stages[0].needed);
  EXPECT_THAT(failure_of("FROM base\nFROM scratch AS real\n", options),
              HasSubstr("does not come before"));
}

// A stage has the platform of the stage it grows from, by whichever name.
TEST(NamedContexts, StagesKeepTheirPlatform) {
  PlanOptions options = options_for();
  options.contexts["base"] = StageContext{"real"};
  const StageGraph graph =
      graph_of("FROM --platform=linux/arm64 scratch AS real\nFROM base\n", options);
  EXPECT_EQ(graph.stages[1].platform.str(), "linux/arm64");
}

TEST(NamedContexts, TheOneForThePlatformWins) {
  PlanOptions options = options_for();
  options.contexts["alpine"] = oci::parse_reference("any");
  options.contexts["alpine::linux/arm64"] = oci::parse_reference("arm");
  const StageGraph graph =
      graph_of("FROM --platform=linux/arm64 alpine\nFROM --platform=linux/amd64 alpine\n", options);
  EXPECT_TRUE(is_image(graph.stages[0].base, request_of("arm", "linux/arm64")));
  EXPECT_TRUE(is_image(graph.stages[1].base, request_of("any")));
  options.contexts.erase("alpine");
  EXPECT_TRUE(is_image(graph_of("FROM alpine\n", options).stages[0].base, request_of("alpine")));
}

TEST(NamedContexts, ReplaceTheStageOfTheirNameWhole) {
  PlanOptions options = options_for();
  options.contexts["deps"] = FileContext{};
  const StageGraph graph = graph_of(
      "FROM broken/image:tag AS Deps\nCOPY x /\nRUN make\nFROM scratch\nCOPY --from=deps / /\n",
      options);
  EXPECT_EQ(std::get<ContextBase>(graph.stages[0].base).context, "deps");
  EXPECT_TRUE(graph.stages[0].instructions.empty());
  EXPECT_TRUE(graph.required_images().empty());
  EXPECT_EQ(std::get<StageBase>(graph.stages[1].sources.at({0, 0})).stage, 0U);
}

TEST(NamedContexts, AreSourcesOfCopiesAndMounts) {
  PlanOptions options = options_for();
  options.contexts["files"] = FileContext{};
  options.contexts["tool"] = oci::parse_reference("registry.example/tool");
  const StageGraph graph = graph_of(
      "FROM scratch\nCOPY --from=FILES / /\n"
      "RUN --mount=target=/c --mount=from=tool,target=/t --mount=from=files,target=/f x\n",
      options);
  const auto& sources = graph.stages[0].sources;
  ASSERT_EQ(sources.size(), 3U);
  EXPECT_EQ(std::get<ContextBase>(sources.at({0, 0})).context, "files");
  EXPECT_TRUE(is_image(sources.at({1, 1}), request_of("registry.example/tool")));
  EXPECT_EQ(std::get<ContextBase>(sources.at({1, 2})).context, "files");
  EXPECT_EQ(graph.required_images().size(), 1U);
}

TEST(NamedContexts, DoNotHideAnEarlierStage) {
  PlanOptions options = options_for();
  options.contexts["other"] = FileContext{};
  const StageGraph graph =
      graph_of("FROM scratch AS a\nFROM scratch\nRUN --mount=from=a,target=/a x\n", options);
  EXPECT_EQ(std::get<StageBase>(graph.stages[1].sources.at({0, 0})).stage, 0U);
  EXPECT_TRUE(graph.stages[0].needed);
}

}  // namespace
}  // namespace strake::plan
