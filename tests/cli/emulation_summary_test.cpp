#include "builder/cli/emulation_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strake::cli {
namespace {

using namespace std::chrono_literals;
using builder::EmulatedStage;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

EmulatedStage stage(const std::string& name, std::chrono::milliseconds time, bool in_image,
                    const std::string& platform = "linux/arm64") {
  return {.platform = oci::parse_platform(platform),
          .stage = name,
          .first_stage = name,
          .emulator = "qemu-aarch64",
          .time = time,
          .in_image = in_image};
}

TEST(EmulationSummary, IsSilentWhenNothingWasEmulated) {
  EXPECT_THAT(emulation_summary({}), IsEmpty());
}

TEST(EmulationSummary, NamesTimePlatformStageAndEmulator) {
  const std::vector stages{stage("stage-1", 42'100ms, true)};
  EXPECT_THAT(emulation_summary(stages),
              ElementsAre(R"(emulated: 42.1s of linux/arm64 in stage "stage-1" (qemu-aarch64))"));
}

TEST(EmulationSummary, HintsAtTheBuildPlatformWhereOnlyFilesAreTaken) {
  const std::vector stages{stage("build", 65'000ms, false), stage("stage-1", 900ms, true)};
  EXPECT_THAT(emulation_summary(stages),
              ElementsAre(R"(emulated: 1m05s of linux/arm64 in stage "build" (qemu-aarch64))",
                          R"(emulated: 0.9s of linux/arm64 in stage "stage-1" (qemu-aarch64))",
                          R"(hint: the image has only copies of files of stage "build": )"
                          R"(with "FROM --platform=$BUILDPLATFORM" it is built without emulation, )"
                          R"(if its tools can build for $TARGETPLATFORM)"));
}

TEST(EmulationSummary, GivesNoHintForMoments) {
  const std::vector stages{stage("build", 2'900ms, false)};
  EXPECT_EQ(emulation_summary(stages).size(), 1U);
}

TEST(EmulationSummary, HintsOnceAtTheLineThatDecidesForAllPlatformsAndStages) {
  std::vector stages{stage("tools", 2s, false), stage("build", 2s, false),
                     stage("tools", 2s, false, "linux/riscv64")};
  stages[1].first_stage = "tools";
  const std::vector<std::string> lines = emulation_summary(stages);
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_THAT(lines[2], HasSubstr("linux/riscv64"));
  EXPECT_THAT(lines[3], HasSubstr("files of stage \"tools\""));
}

}  // namespace
}  // namespace strake::cli
