#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "builder/dockerfile/parser.h"
#include "tests/check/support.h"

namespace strake::check {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(DockerRules, ACleanFileHasNoFindings) {
  EXPECT_THAT(docker("ARG V=1\nFROM alpine:$V AS base\nARG V\nENV A=$V\nWORKDIR /srv\n"
                     "COPY $A .\nEXPOSE 80/tcp\nCMD [\"x\"]\n"),
              IsEmpty());
}

TEST(DockerRules, CasingOfStageLines) {
  EXPECT_THAT(docker("FROM scratch AS Web\n"),
              ElementsAre("1: StageNameCasing: Stage name 'Web' should be lowercase"));
  EXPECT_THAT(docker("FROM scratch as web\n"),
              ElementsAre("1: FromAsCasing: 'as' and 'FROM' keywords' casing do not match"));
  EXPECT_THAT(docker("from scratch AS web\n"),
              ElementsAre("1: FromAsCasing: 'AS' and 'from' keywords' casing do not match"));
  EXPECT_THAT(docker("from scratch as web\n"), IsEmpty());
}

TEST(DockerRules, AKeywordInMixedCaseIsReportedOnce) {
  EXPECT_THAT(docker("From scratch as web\nCMD [\"x\"]\n"),
              ElementsAre("1: ConsistentInstructionCasing: Command 'From' should match the case of "
                          "the command majority (uppercase)"));
}

TEST(DockerRules, TheMajorityOfKeywordsDecides) {
  EXPECT_THAT(docker("from scratch\nenv a=b\nCMD [\"x\"]\n"),
              ElementsAre("3: ConsistentInstructionCasing: Command 'CMD' should match the case of "
                          "the command majority (lowercase)"));
  EXPECT_THAT(docker("FROM scratch\ncmd [\"x\"]\n"),
              ElementsAre("2: ConsistentInstructionCasing: Command 'cmd' should match the case of "
                          "the command majority (uppercase)"));
  EXPECT_THAT(docker("arg a=b\nFROM scratch\n"), IsEmpty()) << "ARGs in front have no say";
}

TEST(DockerRules, AnEmptyContinuationIsReportedAtTheLastLine) {
  EXPECT_THAT(docker("FROM scratch\nRUN a \\\n\n  b \\\n  c\n"),
              ElementsAre("5: NoEmptyContinuation: Empty continuation line"));
  EXPECT_THAT(docker("FROM scratch\nRUN a \\\n# comment\n  b\n"), IsEmpty());
}

TEST(DockerRules, StageNamesAreUniqueAndNotReserved) {
  EXPECT_THAT(
      docker("FROM scratch AS a\nFROM scratch AS A\n"),
      ElementsAre("2: StageNameCasing: Stage name 'A' should be lowercase",
                  "2: DuplicateStageName: Duplicate stage name \"a\", stage names should be "
                  "unique"));
  EXPECT_THAT(docker("FROM scratch AS context\n"),
              ElementsAre("1: ReservedStageName: Stage name should not use the same name as "
                          "reserved stage \"context\""));
}

TEST(DockerRules, ShellFormsWantJson) {
  EXPECT_THAT(docker("FROM scratch\nENTRYPOINT run it\n"),
              ElementsAre("2: JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to "
                          "prevent unintended behavior related to OS signals"));
  EXPECT_THAT(docker("FROM scratch\nCMD run\n").size(), 1U);
  EXPECT_THAT(docker("FROM scratch AS a\nSHELL [\"/bin/bash\"]\nFROM a\nCMD run\n"), IsEmpty());
  EXPECT_THAT(docker("FROM scratch\nHEALTHCHECK CMD run\n"), IsEmpty());
}

TEST(DockerRules, OldForms) {
  EXPECT_THAT(docker("FROM scratch\nMAINTAINER ana\n"),
              ElementsAre("2: MaintainerDeprecated: Maintainer instruction is deprecated in favor "
                          "of using label"));
  EXPECT_THAT(docker("FROM scratch\nLABEL a b c\nENV a b\n"),
              ElementsAre("2: LegacyKeyValueFormat: \"LABEL key=value\" should be used instead of "
                          "legacy \"LABEL key value\" format",
                          "3: LegacyKeyValueFormat: \"ENV key=value\" should be used instead of "
                          "legacy \"ENV key value\" format"));
}

TEST(DockerRules, FromUsesDeclaredArguments) {
  EXPECT_THAT(docker("ARG VERSION=3\nFROM alpine:${VERSOIN:-1}\n"),
              ElementsAre("2: UndefinedArgInFrom: FROM argument 'VERSOIN' is not declared (did you "
                          "mean VERSION?)"));
  EXPECT_THAT(docker("ARG SUFFIX\nFROM alpine:3${SUFFIX}\n"), IsEmpty());
  EXPECT_THAT(docker("FROM --platform=$BUILDPLATFORM alpine:3\n"), IsEmpty());
}

TEST(DockerRules, DefaultsMakeAValidBase) {
  const std::string text = "ARG TAG\nFROM alpine:$TAG\n";
  EXPECT_THAT(docker(text)[0],
              "2: InvalidDefaultArgInFrom: Default value for ARG alpine:$TAG results in empty or "
              "invalid base image name");
  CheckOptions options = all_stages();
  options.build_args["TAG"] = "3.20";
  EXPECT_THAT(docker(text, options),
              ElementsAre(HasSubstr("InvalidDefaultArgInFrom")));  // the defaults are still bad
}

TEST(DockerRules, AnEmptyBaseIsAnErrorAfterItsFindings) {
  EXPECT_THAT(docker("FROM $BASE\nCMD x\n"),
              ElementsAre(HasSubstr("InvalidDefaultArgInFrom"), HasSubstr("UndefinedArgInFrom"),
                          HasSubstr("error: the base name \"$BASE\" is empty")));
}

TEST(DockerRules, PlatformsOfStages) {
  EXPECT_THAT(
      docker("FROM --platform=${TARGETPLATFORM} scratch\n"),
      ElementsAre("1: RedundantTargetPlatform: Setting platform to predefined "
                  "${TARGETPLATFORM} in FROM is redundant as this is the default behavior"));
  EXPECT_THAT(docker("FROM --platform=linux/arm64 scratch AS base\n"),
              ElementsAre("1: FromPlatformFlagConstDisallowed: FROM --platform flag should not use "
                          "constant value \"linux/arm64\""));
  EXPECT_THAT(docker("FROM --platform=linux/arm64 scratch AS build-arm64\n"), IsEmpty());
  EXPECT_THAT(docker("ARG P=linux/arm64\nFROM --platform=$P scratch\n"), IsEmpty());
}

TEST(DockerRules, VariablesAreDefinedBeforeTheirUse) {
  EXPECT_THAT(docker("FROM scratch\nENV P=$PAHT:/x\nCOPY $xyz /\n"),
              ElementsAre("2: UndefinedVar: Usage of undefined variable '$PAHT' (did you mean "
                          "$PATH?)",
                          "3: UndefinedVar: Usage of undefined variable '$xyz'"));
  EXPECT_THAT(docker("FROM scratch\nARG x\nCOPY $x /\n"), IsEmpty());
  EXPECT_THAT(docker("FROM scratch AS a\nARG x=1\nFROM a\nCOPY $x /\n"), IsEmpty());
  EXPECT_THAT(docker("FROM scratch\nRUN echo $x\nCMD [\"$x\"]\n"), IsEmpty());
  EXPECT_THAT(docker("ARG x=1\nFROM scratch\nCOPY $x /\n").size(), 1U) << "not redeclared";
  EXPECT_THAT(docker("FROM scratch\nCOPY <<E /f\n$y\nE\n").size(), 1U);
  EXPECT_THAT(docker("FROM scratch\nCOPY <<'E' /f\n$y\nE\n"), IsEmpty());
  EXPECT_THAT(docker("FROM scratch\nRUN --mount=type=cache,target=$d x\n").size(), 1U);
}

TEST(DockerRules, VariablesOfAKnownBaseAreDefined) {
  CheckOptions options = all_stages();
  options.rules = RuleSet::docker;
  plan::ResolvedImages images;
  const oci::Reference python = oci::parse_reference("python:3.13");
  plan::ResolvedImage& image = images[{python, options.target_platform}];
  image.config.platform = {"linux", "amd64", ""};
  image.config.config.env = {"PYTHON_VERSION=3.13"};
  image.config.config.shell = {"/bin/bash"};
  options.images = &images;
  const dockerfile::SourceFile source("Dockerfile",
                                      "FROM python:3.13\nENV V=$PYTHON_VERSION\nCMD x\n");
  const dockerfile::Dockerfile file = dockerfile::parse(source);
  plan::PlanOptions plan;
  plan.target_platform = plan.build_platform = options.target_platform;
  const plan::StageGraph graph = plan::make_graph(file, plan, images);
  EXPECT_THAT(check_dockerfile(file, graph, options).findings, IsEmpty());

  image.config.platform = {"linux", "arm64", ""};
  EXPECT_THAT(lines_of(check_dockerfile(file, graph, options)),
              ElementsAre("1: InvalidBaseImagePlatform: Base image python:3.13 was pulled with "
                          "platform \"linux/arm64\", expected \"linux/amd64\" for current build"));
}

TEST(DockerRules, APlatformThatFitsIsNoFinding) {
  const base::SourceRange where{"Dockerfile", 1, 1};
  EXPECT_FALSE(check_base_platform("a", {"linux", "arm", "v7"}, {"linux", "arm", "v6"}, where));
  EXPECT_TRUE(check_base_platform("a", {"linux", "arm", "v7"}, {"linux", "386", ""}, where));
}

TEST(DockerRules, TheFirstWorkdirIsAbsolute) {
  EXPECT_THAT(docker("FROM scratch\nWORKDIR app\nWORKDIR sub\n"),
              ElementsAre("2: WorkdirRelativePath: Relative workdir \"app\" can have unexpected "
                          "results if the base image changes"));
  EXPECT_THAT(docker("FROM scratch AS a\nWORKDIR /app\nFROM a\nWORKDIR sub\n"), IsEmpty());
}

TEST(DockerRules, OnlyTheLastCommandCounts) {
  EXPECT_THAT(docker("FROM scratch\nCMD [\"a\"]\nCMD [\"b\"]\nHEALTHCHECK NONE\n"),
              ElementsAre("2: MultipleInstructionsDisallowed: Multiple CMD instructions should not "
                          "be used in the same stage because only the last one will be used"));
  EXPECT_THAT(docker("FROM scratch AS a\nCMD [\"a\"]\nFROM a\nCMD [\"b\"]\n"), IsEmpty());
}

TEST(DockerRules, NamesOfSecrets) {
  for (const char* name : {"TOKEN", "api_key", "MY_PASSWORD_2", "Auth"})
    EXPECT_THAT(docker(std::string("FROM scratch\nARG ") + name + "\n"),
                ElementsAre(HasSubstr("(ARG \"" + std::string(name) + "\")")));
  for (const char* name : {"TOKENS", "PUBLIC_KEY", "TOKEN_FILE", "KEYBOARD", "SECRET_VERSION"})
    EXPECT_THAT(docker(std::string("FROM scratch\nENV ") + name + "=x\n"), IsEmpty()) << name;
}

TEST(DockerRules, PortsOfExpose) {
  EXPECT_THAT(docker("FROM scratch\nEXPOSE 80/TCP 1.2.3.4:8080:80 53/udp\n"),
              ElementsAre("2: ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction "
                          "should be lowercase",
                          "2: ExposeInvalidFormat: EXPOSE instruction should not define an IP "
                          "address or host-port mapping, found '1.2.3.4:8080:80'"));
}

TEST(DockerRules, IgnoredFilesAreNotCopied) {
  const dockerfile::SourceFile ignore(".dockerignore", "tmp\n*.log\n");
  const dockerfile::IgnoreMatcher matcher(dockerfile::parse_ignore_file(ignore));
  CheckOptions options = all_stages();
  options.ignored = &matcher;
  const std::string text =
      "FROM scratch AS a\nCOPY ./tmp/x /\nADD b.log c /\nFROM scratch\n"
      "COPY --from=a tmp /\n";
  EXPECT_THAT(docker(text, options), IsEmpty()) << "experimental";
  EXPECT_THAT(
      docker("# check=experimental=CopyIgnoredFile\n" + text, options),
      ElementsAre("3: CopyIgnoredFile: Attempting to Copy file \"tmp/x\" that is excluded "
                  "by .dockerignore",
                  "4: CopyIgnoredFile: Attempting to Add file \"b.log\" that is excluded by "
                  ".dockerignore"));
  const dockerfile::IgnoreMatcher with_negation(
      dockerfile::parse_ignore_patterns({"tmp", "!tmp/x"}));
  options.ignored = &with_negation;
  EXPECT_THAT(docker("# check=experimental=all\n" + text, options), IsEmpty());
}

TEST(DockerRules, DescriptionsStartWithTheName) {
  const std::string on = "# check=experimental=InvalidDefinitionDescription\n";
  EXPECT_THAT(docker(on + "# the base\nFROM scratch AS base\n# a or b\nARG a b\n"),
              ElementsAre("3: InvalidDefinitionDescription: Comment for FROM should follow the "
                          "format: `# base <description>`"));
  EXPECT_THAT(docker(on + "FROM scratch\n# foo\nARG a b\n"),
              ElementsAre(HasSubstr("Comment for ARG should follow the format: `# <arg_key> "
                                    "<description>`")));
  EXPECT_THAT(docker(on + "# base is it\nFROM scratch AS base\n# apart\n\nARG a\n# x\n#\nARG b\n"),
              IsEmpty());
  EXPECT_THAT(docker("# the base\nFROM scratch AS base\n"), IsEmpty()) << "experimental";
}

TEST(DockerRules, OnlyNeededStagesAreCheckedForATarget) {
  const std::string text = "FROM scratch AS a\nCOPY $x /\nFROM scratch AS b\nCOPY $y /\n";
  EXPECT_THAT(docker(text).size(), 2U);
  CheckOptions options = all_stages();
  options.all_stages = false;
  EXPECT_THAT(docker(text, options), ElementsAre(HasSubstr("'$y'")));
  options.target = "a";
  EXPECT_THAT(docker(text, options), ElementsAre(HasSubstr("'$x'")));
  options.target = "c";
  EXPECT_THAT(docker(text, options), ElementsAre(HasSubstr("error: no stage \"c\"")));
}

TEST(DockerRules, WhatStandsBeforeAnErrorIsChecked) {
  EXPECT_THAT(docker("FROM scratch AS Web\nMAINTAINER ana\nCPOY a /\n"),
              ElementsAre(HasSubstr("1: StageNameCasing"), HasSubstr("2: MaintainerDeprecated"),
                          HasSubstr("error: unknown instruction")));
  EXPECT_THAT(docker(""), ElementsAre(HasSubstr("error: ")));
}

TEST(DockerRules, TriggersOfAStageAreCheckedWhereTheyRun) {
  EXPECT_THAT(docker("FROM scratch AS a\nONBUILD COPY $x /\nFROM a\n"),
              ElementsAre("3: UndefinedVar: Usage of undefined variable '$x'"));
}

}  // namespace
}  // namespace strake::check
