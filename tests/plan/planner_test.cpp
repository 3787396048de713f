#include "builder/plan/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/plan/plan_support.h"

namespace strake::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using RunStep = Run;  // testing::Test has a member Run

constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

template <typename T>
std::vector<const T*> operations(const BuildPlan& plan) {
  std::vector<const T*> found;
  for (const Step& step : plan.steps)
    if (const auto* operation = std::get_if<T>(&step.operation)) found.push_back(operation);
  return found;
}

std::vector<std::string> history_of(const BuildPlan& plan) {
  std::vector<std::string> texts;
  for (const HistoryEntry& entry : plan.history) texts.push_back(entry.created_by);
  return texts;
}

std::string failure_of(const std::string& text, const PlanOptions& options = options_for()) {
  try {
    plan_of(text, {}, options);
  } catch (const base::Error& error) {
    return std::string(error.what()) + " | line " +
           (error.location() ? std::to_string(error.location()->first_line) : "?");
  }
  return "no error";
}

TEST(Planner, ThePlanCanBePrinted) {
  EXPECT_EQ(to_text(plan_of("FROM scratch AS a\nCOPY x /\nFROM scratch\nCOPY --from=a /x /y/\n"
                            "RUN [\"/y/x\"]\nWORKDIR /w\n")),
            "platform linux/amd64\n"
            "#0 [a 1/2] scratch\n"
            "#1 [a 2/2] on #0 copy [\"x\"] to \"/\" from context\n"
            "#2 [stage-1 1/4] scratch\n"
            "#3 [stage-1 2/4] on #2 copy [\"/x\"] to \"/y/\" from #1\n"
            "#4 [stage-1 3/4] on #3 run [\"/y/x\"] env=[\"" +
                std::string(kPath) +
                "\"] user=\"\" cwd=\"/\"\n"
                "#5 [stage-1 4/4] on #4 mkdir \"/w\" user=\"\"\n"
                "result #5\n"
                "history #3 \"COPY /x /y/ # buildkit\"\n"
                "history #4 \"RUN /y/x # buildkit\"\n"
                "history #5 \"WORKDIR /w\"\n"
                "config {\"architecture\":\"amd64\",\"config\":{\"Env\":[\"" +
                std::string(kPath) +
                "\"],\"WorkingDir\":\"/w\"},\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\","
                "\"diff_ids\":[]}}\n");
}

// Rule 24: words see the environment before their instruction.
TEST(Planner, WordsOfAnInstructionSeeTheEnvironmentBeforeIt) {
  const BuildPlan plan =
      plan_of("FROM scratch\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc\n");
  EXPECT_THAT(plan.config.config.env, ElementsAre(kPath, "abc=bye", "def=hello", "ghi=bye"));
}

// Rule 18: --build-arg wins over any default.
TEST(Planner, ArgsReachRunButNotTheImage) {
  PlanOptions options = options_for();
  options.build_args["B"] = "given";
  const BuildPlan plan =
      plan_of("ARG G=global\nFROM scratch\nARG A=1\nARG B=2\nARG G\nARG U\nRUN x\n", {}, options);
  EXPECT_THAT(operations<RunStep>(plan)[0]->env, ElementsAre(kPath, "A=1", "B=given", "G=global"));
  EXPECT_THAT(plan.config.config.env, ElementsAre(kPath));
  EXPECT_THAT(history_of(plan),
              ElementsAre("ARG A=1", "ARG B=given", "ARG G=global", "ARG U",
                          "RUN |4 A=1 B=given G=global U= /bin/sh -c x # buildkit"));
}

// Rule 17: an ARG before FROM has to be declared again; so have those of the platform (rule 23).
TEST(Planner, GlobalArgsAreNotVisibleUntilDeclared) {
  const BuildPlan plan = plan_of(
      "ARG G=global\nFROM scratch\nENV x=$G$TARGETARCH\nARG TARGETARCH\nENV y=$TARGETARCH\n");
  EXPECT_THAT(plan.config.config.env, ElementsAre(kPath, "x=", "y=amd64"));
}

// Rule 22: proxy args reach RUN undeclared, and stay out of history.
TEST(Planner, ProxyArgsAreGivenToRunWithoutBeingDeclared) {
  PlanOptions options = options_for();
  options.build_args["http_proxy"] = "http://proxy";
  const BuildPlan plan = plan_of("FROM scratch\nRUN a\nARG http_proxy\nRUN b\n", {}, options);
  EXPECT_THAT(operations<RunStep>(plan)[0]->proxy_env, ElementsAre("http_proxy=http://proxy"));
  EXPECT_THAT(operations<RunStep>(plan)[0]->env, ElementsAre(kPath));
  EXPECT_THAT(operations<RunStep>(plan)[1]->proxy_env, IsEmpty());
  EXPECT_EQ(history_of(plan)[0], "RUN /bin/sh -c a # buildkit");
}

// Rule 58: ENTRYPOINT drops the base's CMD, not the stage's own.
TEST(Planner, EntrypointDropsTheCmdOfTheBaseOnly) {
  ResolvedImages images;
  images.insert(image("base", {.cmd = std::vector<std::string>{"old"}}));
  EXPECT_EQ(plan_of("FROM base\nENTRYPOINT [\"e\"]\n", images).config.config.cmd, std::nullopt);
  EXPECT_EQ(plan_of("FROM base\nCMD [\"new\"]\nENTRYPOINT [\"e\"]\n", images).config.config.cmd,
            std::vector<std::string>{"new"});
  const BuildPlan empty = plan_of("FROM base\nENTRYPOINT []\n", images);
  EXPECT_EQ(empty.config.config.entrypoint, std::nullopt);
}

// Rule 59: a shell form is the shell and one string.
TEST(Planner, ShellFormsUseTheShellOfTheStage) {
  const BuildPlan plan =
      plan_of("FROM scratch\nCMD a b\nSHELL [\"/bin/bash\", \"-ec\"]\nRUN c\nENTRYPOINT d\n");
  EXPECT_EQ(plan.config.config.cmd, (std::vector<std::string>{"/bin/sh", "-c", "a b"}));
  EXPECT_EQ(plan.config.config.entrypoint, (std::vector<std::string>{"/bin/bash", "-ec", "d"}));
  EXPECT_THAT(operations<RunStep>(plan)[0]->argv, ElementsAre("/bin/bash", "-ec", "c"));
}

// Rule 55: WORKDIR joins the one before, also the base's; / makes no layer.
TEST(Planner, WorkdirsAreRelativeToEachOther) {
  ResolvedImages images;
  images.insert(image("base", {.working_dir = "/base"}));
  const BuildPlan plan =
      plan_of("FROM base\nWORKDIR a\nWORKDIR ../b/\nCOPY x y/\nWORKDIR /\n", images);
  EXPECT_EQ(operations<MakeDirectory>(plan)[1]->path, "/base/b");
  EXPECT_EQ(operations<Copy>(plan)[0]->destination, "/base/b/y/");
  EXPECT_EQ(plan.config.config.working_dir, "/");
  EXPECT_EQ(operations<MakeDirectory>(plan).size(), 2U);
}

// Rule 14: the whole body is one argument of the shell, or a file under /dev/pipes.
TEST(Planner, HeredocsBecomeScriptsOrShellText) {
  const BuildPlan plan =
      plan_of("FROM scratch\nRUN <<EOF\na\nb\nEOF\nRUN <<SCRIPT\n#!/usr/bin/python\nc\nSCRIPT\n");
  const auto runs = operations<RunStep>(plan);
  EXPECT_THAT(runs[0]->argv, ElementsAre("/bin/sh", "-c", "a\nb\n"));
  EXPECT_THAT(runs[1]->argv, ElementsAre("/bin/sh", "-c", "/dev/pipes/SCRIPT"));
  ASSERT_EQ(runs[1]->scripts.size(), 1U);
  EXPECT_EQ(runs[1]->scripts[0].content, "#!/usr/bin/python\nc\n");
}

TEST(Planner, CopyHeredocsExpandUnlessQuoted) {
  const BuildPlan plan = plan_of("FROM scratch\nENV V=1\nCOPY <<a <<\"b\" /d/\n$V\na\n$V\nb\n");
  const Copy& copy = *operations<Copy>(plan)[0];
  EXPECT_EQ(copy.files[0].content, "1\n");
  EXPECT_EQ(copy.files[1].content, "$V\n");
}

// Rule 27: EXPOSE splits what variables hold; ports are sorted, ranges expanded (rule 63).
TEST(Planner, ExposeSplitsVariablesAndSortsPorts) {
  const BuildPlan plan = plan_of("FROM scratch\nENV P=\"443 80\"\nEXPOSE $P 53/UDP 8000-8001\n");
  EXPECT_THAT(plan.config.config.exposed_ports,
              ElementsAre("443/tcp", "53/udp", "80/tcp", "8000/tcp", "8001/tcp"));
}

// Rule 61: a shell form is CMD-SHELL, durations are nanoseconds.
TEST(Planner, HealthchecksAreKeptAsDockerKeepsThem) {
  const BuildPlan plan =
      plan_of("FROM scratch\nHEALTHCHECK --interval=5m --timeout=3s --retries=3 CMD curl -f x\n");
  ASSERT_TRUE(plan.config.config.healthcheck);
  EXPECT_THAT(plan.config.config.healthcheck->test, ElementsAre("CMD-SHELL", "curl -f x"));
  EXPECT_EQ(plan.config.config.healthcheck->interval_ns, 300'000'000'000);
  EXPECT_EQ(history_of(plan)[0],
            "HEALTHCHECK &{[\"CMD-SHELL\" \"curl -f x\"] \"5m0s\" \"3s\" \"0s\" \"0s\" '\\x03'}");
}

// Rule 66: a stage inherits config and ARGs of its base stage (rule 19), not its triggers.
TEST(Planner, AStageFromAStageInheritsItsArgsAndConfig) {
  const BuildPlan plan =
      plan_of("FROM scratch AS a\nARG X=1\nENV E=2\nUSER u\nONBUILD LABEL l=v\nFROM a\nRUN r\n");
  const RunStep& run = *operations<RunStep>(plan)[0];
  EXPECT_THAT(run.env, ElementsAre(kPath, "X=1", "E=2"));
  EXPECT_EQ(run.user, "u");
  EXPECT_EQ(plan.config.config.labels.at("l"), "v");
  EXPECT_THAT(plan.config.config.on_build, IsEmpty());
}

TEST(Planner, PlatformOfTheImageIsTheBasesUnlessOneIsGiven) {
  ResolvedImages images;
  auto foreign = image("base");
  foreign.second.config.platform = oci::parse_platform("linux/arm64");
  images.insert(foreign);
  PlanOptions options = options_for();
  EXPECT_EQ(plan_of("FROM base\n", images, options).config.platform.str(), "linux/arm64");
  options.platform_given = true;
  EXPECT_EQ(plan_of("FROM base\n", images, options).config.platform.str(), "linux/amd64");
}

// Rule 63: labels of the command line win.
TEST(Planner, LabelsOfTheCommandLineWin) {
  PlanOptions options = options_for();
  options.labels = {{"a", "cli"}};
  EXPECT_EQ(plan_of("FROM scratch\nLABEL a=file b=file\n", {}, options).config.config.labels,
            (std::map<std::string, std::string>{{"a", "cli"}, {"b", "file"}}));
}

// Case B22: labels of an image that look like settings of a builder.
TEST(Planner, LabelsOfAnImageDecideNothing) {
  const std::string text = "FROM base\nRUN x\nCOPY a /b\n";
  ResolvedImages plain;
  plain.insert(image("base"));
  ResolvedImages labelled;
  auto hostile = image("base");
  hostile.second.config.config.labels = {{"io.strake.security", "insecure"},
                                         {"io.strake.network", "host"},
                                         {"run.oci.keep_original_groups", "1"},
                                         {"io.podman.annotations.privileged", "TRUE"},
                                         {"io.buildah.unshare", "0"}};
  labelled.insert(hostile);
  BuildPlan with = plan_of(text, labelled);
  EXPECT_EQ(with.config.config.labels.size(), 5U);  // kept …
  with.config.config.labels.clear();
  EXPECT_EQ(to_text(with), to_text(plan_of(text, plain)));  // … and that is all
}

TEST(Planner, ExpandsTheNamesOfDevices) {
  EXPECT_THAT(to_text(plan_of("FROM scratch\nARG N=all\nRUN --device=a.com/gpu=$N,required "
                              "--device=a.com/nic x\n")),
              HasSubstr(" device a.com/gpu=all required device a.com/nic"));
}

TEST(Planner, RefusesWhatItWouldOtherwiseIgnoreAtItsLine) {
  EXPECT_THAT(failure_of("FROM scratch\nRUN --security=insecure x\n"), HasSubstr("not allowed"));
  EXPECT_THAT(failure_of("FROM scratch\nCOPY --chmod=9 x /\n"), HasSubstr("line 2"));
  EXPECT_THAT(failure_of("FROM scratch\nSTOPSIGNAL NOPE\n"), HasSubstr("line 2"));
  EXPECT_THAT(failure_of("FROM scratch\nENV a=\"${b:?must be given}\"\n"),
              HasSubstr("must be given"));
}

}  // namespace
}  // namespace strake::plan
