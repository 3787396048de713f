#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/check/support.h"

namespace strake::check {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kTwo = "FROM scratch AS a\nENV b c\nCMD x\n";

TEST(CheckSettings, RulesAreSkippedByName) {
  EXPECT_EQ(docker(kTwo).size(), 2U);
  EXPECT_THAT(docker("# check=skip=LegacyKeyValueFormat\n" + kTwo),
              ElementsAre(HasSubstr("JSONArgs")));
  EXPECT_THAT(docker("# check=skip=LegacyKeyValueFormat, JSONArgsRecommended\n" + kTwo), IsEmpty());
  EXPECT_THAT(docker("# check=skip=all\n" + kTwo), IsEmpty());
  EXPECT_EQ(docker("# check=skip=legacykeyvalueformat\n" + kTwo).size(), 2U);
}

TEST(CheckSettings, OwnRulesAreSkippedInTheSameWay) {
  EXPECT_EQ(hits("BaseImageWithoutVersion", "FROM debian\n").size(), 1U);
  EXPECT_THAT(
      hits("BaseImageWithoutVersion", "# check=skip=BaseImageWithoutVersion\nFROM debian\n"),
      IsEmpty());
  EXPECT_THAT(report("# check=skip=all\nFROM debian\n").findings, IsEmpty());
}

TEST(CheckSettings, ACommentIsAboutItsInstructionOnly) {
  EXPECT_THAT(docker("FROM scratch\n# check=skip=LegacyKeyValueFormat\nENV a b\nENV c d\n"),
              ElementsAre(HasSubstr("4: Legacy")));
  EXPECT_THAT(docker("FROM scratch\n# because\n# check=skip=all\nENV a b\n"), IsEmpty());
  EXPECT_THAT(docker("FROM scratch\n# check=skip=bogus;what\nENV a b\n"),
              ElementsAre(HasSubstr("error: invalid check option")));
}

TEST(CheckSettings, ErrorsMakeTheReportFail) {
  EXPECT_FALSE(report(kTwo).must_fail);
  const CheckReport failed = report("# check=error=true\n" + kTwo);
  EXPECT_TRUE(failed.must_fail);
  EXPECT_EQ(failed.findings.front().severity, Severity::error);
  EXPECT_STREQ(
      violation(failed.findings).what(),
      "lint violation found for rules: LegacyKeyValueFormat, JSONArgsRecommended, RunsAsRoot");
  EXPECT_FALSE(report("# check=error=true;skip=all\n" + kTwo).must_fail);
  EXPECT_FALSE(report("# check=error=true\nFROM scratch\n").must_fail);
}

TEST(CheckSettings, TheCallerMayCallFindingsErrors) {
  CheckOptions options = all_stages();
  options.findings_are_errors = true;
  EXPECT_TRUE(report(kTwo, options).must_fail);
}

TEST(CheckSettings, ABuildArgumentReplacesTheDirective) {
  CheckOptions options = all_stages();
  options.build_args["BUILDKIT_DOCKERFILE_CHECK"] = "skip=JSONArgsRecommended";
  EXPECT_THAT(docker("# check=skip=LegacyKeyValueFormat;error=true\n" + kTwo, options),
              ElementsAre(HasSubstr("LegacyKeyValueFormat")));
  options.build_args["BUILDKIT_DOCKERFILE_CHECK"] = "bogus";
  EXPECT_THROW(docker(kTwo, options), base::Error);
}

TEST(CheckSettings, ABadDirectiveIsAnError) {
  EXPECT_THAT(docker("# check=bogus=1\nFROM scratch\nENV a b\n"),
              ElementsAre(HasSubstr("error: invalid check option")));
}

}  // namespace
}  // namespace strake::check
