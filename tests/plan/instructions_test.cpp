// What each instruction does to steps, configuration and history.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/plan/plan_support.h"

namespace strake::plan {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

using RunStep = Run;  // testing::Test has a member Run

constexpr const char* kPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

template <typename T>
std::vector<T> operations(const BuildPlan& plan) {
  std::vector<T> found;
  for (const Step& step : plan.steps)
    if (const auto* operation = std::get_if<T>(&step.operation)) found.push_back(*operation);
  return found;
}

std::vector<std::string> history_of(const BuildPlan& plan) {
  std::vector<std::string> texts;
  for (const HistoryEntry& entry : plan.history) texts.push_back(entry.created_by);
  return texts;
}

/// The configuration that `instructions` give an image from scratch.
oci::RunConfig config_of(const std::string& instructions) {
  return plan_of("FROM scratch\n" + instructions).config.config;
}

std::string history_of(const std::string& instruction) {
  return history_of(plan_of("FROM scratch\n" + instruction)).back();
}

std::string failure_of(const std::string& instructions) {
  try {
    config_of(instructions);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "no error";
}

ResolvedImages images_with(oci::RunConfig config) {
  ResolvedImages images;
  images.insert(image("base", std::move(config)));
  return images;
}

// ---- Words and variables

// Rule 9: JSON is expanded element by element in COPY, ADD and VOLUME, and never in commands.
TEST(Instructions, ExpandJsonWhereItHoldsPaths) {
  const BuildPlan plan = plan_of(
      "FROM scratch\nENV V=a\\ b\nCOPY [\"$V\", \"'x'\", \"/$V/\"]\nADD [\"${V}\", \"/\"]\n"
      "VOLUME [\"/$V\"]\nRUN [\"$V\"]\nCMD [\"$V\"]\nENTRYPOINT [\"$V\"]\n");
  EXPECT_THAT(operations<Copy>(plan)[0].sources, ElementsAre("a b", "x"));
  EXPECT_EQ(operations<Copy>(plan)[0].destination, "/a b/");
  EXPECT_THAT(operations<Copy>(plan)[1].sources, ElementsAre("a b"));
  EXPECT_THAT(plan.config.config.volumes, ElementsAre("/a b"));
  EXPECT_THAT(operations<RunStep>(plan)[0].argv, ElementsAre("$V"));
  EXPECT_THAT(*plan.config.config.cmd, ElementsAre("$V"));
  EXPECT_THAT(*plan.config.config.entrypoint, ElementsAre("$V"));
}

// Rule 10: quotes of the old form of ENV are resolved with the variables.
TEST(Instructions, ResolveQuotesOfTheOldForm) {
  EXPECT_THAT(config_of("ENV a b  \"c d\" $PATH\n").env,
              ElementsAre(kPath, "a=b  c d " + std::string(kPath).substr(5)));
}

// Rule 11: names in ENV and LABEL are expanded; an empty one is an error.
TEST(Instructions, ExpandNames) {
  const oci::RunConfig config = config_of("ARG N=name\nENV ${N}_x=1\nLABEL $N.y=2 \"a b\"=3\n");
  EXPECT_THAT(config.env, ElementsAre(kPath, "name_x=1"));
  EXPECT_EQ(config.labels, (std::map<std::string, std::string>{{"name.y", "2"}, {"a b", "3"}}));
  EXPECT_THAT(failure_of("ENV $NONE=1\n"), HasSubstr("empty"));
  EXPECT_THAT(failure_of("LABEL ${NONE}=1\n"), HasSubstr("empty"));
}

// Rule 18: --build-arg is not expanded; without an ARG of its name it has no effect.
TEST(Instructions, TakeBuildArgsAsTheyAre) {
  PlanOptions options = options_for();
  options.build_args = {{"A", "$B ${C:-x}"}, {"OTHER", "1"}};
  const BuildPlan plan =
      plan_of("FROM scratch\nARG B=b\nARG A=default\nENV E=$A O=$OTHER\nRUN x\n", {}, options);
  EXPECT_THAT(plan.config.config.env, ElementsAre(kPath, "E=$B ${C:-x}", "O="));
  EXPECT_THAT(operations<RunStep>(plan)[0].env,
              ElementsAre(kPath, "B=b", "A=$B ${C:-x}", "E=$B ${C:-x}", "O="));
}

// Rule 19: ARGs reach stages built from a stage, but not through an image.
TEST(Instructions, ForgetArgsOfImages) {
  const BuildPlan plan = plan_of("FROM base\nENV E=${A-none}\n", images_with({.env = {"X=1"}}));
  EXPECT_THAT(plan.config.config.env, ElementsAre("X=1", kPath, "E=none"));
}

// Rule 20: of ARG and ENV with one name the later one counts while building; the image has ENV's.
TEST(Instructions, LetTheLaterOfArgAndEnvWin) {
  const BuildPlan plan = plan_of("FROM scratch\nENV V=env\nARG V=arg\nRUN a\nENV V=again\nRUN b\n");
  EXPECT_THAT(operations<RunStep>(plan)[0].env, ElementsAre(kPath, "V=arg"));
  EXPECT_THAT(operations<RunStep>(plan)[1].env, ElementsAre(kPath, "V=again"));
  EXPECT_THAT(plan.config.config.env, ElementsAre(kPath, "V=again"));
  EXPECT_THAT(config_of("ENV V=env\nARG V=arg\n").env, ElementsAre(kPath, "V=env"));
}

// Rule 21: an ARG is in the environment of every later RUN, used or not; COPY and WORKDIR change
// only if they expand it.
TEST(Instructions, ChangeWithAnArgOnlyIfTheySeeIt) {
  const auto steps_with = [](const std::string& value) {
    PlanOptions options = options_for();
    options.build_args["A"] = value;
    return plan_of(
        "FROM scratch\nRUN before\nARG A\nCOPY x /y\nWORKDIR /w\nCOPY x /$A\nRUN after\n", {},
        options);
  };
  const BuildPlan one = steps_with("1"), two = steps_with("2");
  EXPECT_EQ(operations<RunStep>(one)[0].env, operations<RunStep>(two)[0].env);
  EXPECT_NE(operations<RunStep>(one)[1].env, operations<RunStep>(two)[1].env);
  EXPECT_EQ(operations<Copy>(one)[0].destination, operations<Copy>(two)[0].destination);
  EXPECT_EQ(operations<MakeDirectory>(one)[0].path, operations<MakeDirectory>(two)[0].path);
  EXPECT_NE(operations<Copy>(one)[1].destination, operations<Copy>(two)[1].destination);
}

// Rule 23: the platform's ARGs have to be declared; --build-arg overrides them.
TEST(Instructions, LetBuildArgsOverrideThePlatform) {
  PlanOptions options = options_for("linux/arm/v7");
  const std::string text =
      "FROM scratch\nARG TARGETPLATFORM TARGETVARIANT BUILDPLATFORM\n"
      "ENV a=$TARGETPLATFORM b=$TARGETVARIANT c=$BUILDPLATFORM d=$TARGETOS\n";
  EXPECT_THAT(plan_of(text, {}, options).config.config.env,
              ElementsAre(kPath, "a=linux/arm/v7", "b=v7", "c=linux/amd64", "d="));
  options.build_args["TARGETVARIANT"] = "mine";
  EXPECT_THAT(plan_of(text, {}, options).config.config.env[2], "b=mine");
}

TEST(Instructions, RefuseAnEnvironmentThatNoProcessCanHave) {
  std::string text = "ENV A=" + std::string(1 << 19, 'x') + "\n";
  for (const char* name : {"B", "C", "D"}) text += "ENV " + std::string(name) + "=$A\n";
  EXPECT_THAT(failure_of(text), HasSubstr("the environment is larger than 2097152 bytes"));
  for (const std::string keyword : {"ENV", "ARG"}) {
    text = keyword;
    for (int i = 0; i < 10'001; ++i) text += " v" + std::to_string(i) + "=";
    EXPECT_THAT(failure_of(text + "\n"), HasSubstr("more than 10000 variables"));
  }
}

// Rule 25: an unset variable expands to nothing.
TEST(Instructions, TakeUnsetVariablesForEmpty) {
  EXPECT_THAT(config_of("ENV a=x${NONE}y$NONE\n").env, ElementsAre(kPath, "a=xy"));
}

// Rule 27: but for EXPOSE, a value with spaces stays one word.
TEST(Instructions, KeepAValueWithSpacesOneWord) {
  const BuildPlan plan = plan_of("FROM scratch\nENV V=\"a b\"\nCOPY $V /$V/\nWORKDIR /$V\n");
  EXPECT_THAT(operations<Copy>(plan)[0].sources, ElementsAre("a b"));
  EXPECT_EQ(operations<MakeDirectory>(plan)[0].path, "/a b");
}

// Rule 28: an image without PATH gets the default one.
TEST(Instructions, AddADefaultPath) {
  EXPECT_THAT(plan_of("FROM base\n", images_with({.env = {"A=1"}})).config.config.env,
              ElementsAre("A=1", kPath));
  EXPECT_THAT(plan_of("FROM base\n", images_with({.env = {"PATH=/x"}})).config.config.env,
              ElementsAre("PATH=/x"));
}

// ---- Files

// Rule 30: a relative destination is below the working directory; its trailing slash counts.
TEST(Instructions, PutRelativeDestinationsBelowTheWorkingDirectory) {
  const BuildPlan plan = plan_of(
      "FROM scratch\nWORKDIR /w\nCOPY a b\nCOPY a b/\nCOPY a .\nCOPY a b/.\nCOPY a /b/../c/\n");
  std::vector<std::string> destinations;
  for (const Copy& copy : operations<Copy>(plan)) destinations.push_back(copy.destination);
  EXPECT_THAT(destinations, ElementsAre("/w/b", "/w/b/", "/w/", "/w/b/", "/c/"));
}

// Rule 37: USER owns what WORKDIR makes, and has no effect on COPY and ADD.
TEST(Instructions, GiveTheUserToDirectoriesOnly) {
  const BuildPlan plan = plan_of("FROM scratch\nUSER app\nCOPY a /\nADD b /\nWORKDIR /w\n");
  EXPECT_THAT(operations<Copy>(plan), SizeIs(2));
  for (const Copy& copy : operations<Copy>(plan)) EXPECT_EQ(copy.chown, "");
  EXPECT_EQ(operations<MakeDirectory>(plan)[0].user, "app");
}

// Rule 46: ADD names what a URL gives by the last element of its path, and unpacks it only if told.
TEST(Instructions, FetchUrlsToFiles) {
  const BuildPlan plan =
      plan_of("FROM scratch\nADD https://h/d/f.tar?q=1 /x/\nADD --unpack=true http://h/ /y\n");
  const std::vector<FetchFile> fetches = operations<FetchFile>(plan);
  EXPECT_EQ(fetches[0].url, "https://h/d/f.tar?q=1");
  EXPECT_EQ(fetches[0].path, "/0/f.tar");
  EXPECT_EQ(fetches[1].path, "/0/__unnamed__");
  const std::vector<Copy> copies = operations<Copy>(plan);
  EXPECT_THAT(copies[0].sources, ElementsAre("/0/f.tar"));
  EXPECT_EQ(copies[0].destination, "/x/");
  EXPECT_FALSE(copies[0].extract);
  EXPECT_EQ(copies[1].destination, "/y");
  EXPECT_TRUE(copies[1].extract);
}

// Rule 47: a URL is a git repository if its path ends in ".git"; a name on GitHub is a file of
// ADD's.
TEST(Instructions, TellRepositoriesFromFiles) {
  const BuildPlan plan = plan_of(
      "FROM scratch\nADD https://h/r.git#v1:sub git@h:r /x/\nADD https://github.com/a/b /y/\n"
      "ADD github.com/a/b /z/\n");
  EXPECT_THAT(operations<FetchGit>(plan), SizeIs(2));
  EXPECT_THAT(operations<FetchFile>(plan), SizeIs(1));
  EXPECT_THAT(operations<Copy>(plan).back().sources, ElementsAre("github.com/a/b"));
}

// Rule 48: --checksum is for one remote source, and part of the step.
TEST(Instructions, TakeAChecksumOfOneRemoteSource) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const BuildPlan plan =
      plan_of("FROM scratch\nARG D=" + digest + "\nADD --checksum=$D https://h/f /\n");
  EXPECT_EQ(operations<FetchFile>(plan)[0].checksum, digest);
  const std::string flag = "ADD --checksum=" + digest;
  EXPECT_THAT(failure_of(flag + " a /x/\n"), HasSubstr("needs a remote source"));
  EXPECT_THAT(failure_of(flag + " <<E /x/\ntext\nE\n"), HasSubstr("needs a remote source"));
  EXPECT_THAT(failure_of(flag + " https://h/a https://h/b /x/\n"), HasSubstr("exactly one"));
  EXPECT_THAT(failure_of(flag + " https://h/a <<E /x/\nE\n"), HasSubstr("exactly one"));
}

// Rule 51: --from is the number of a stage, a stage's name, or an image of the target's platform.
TEST(Instructions, CopyFromStagesBeforeImages) {
  const StageGraph graph =
      make_graph(parsed("FROM scratch AS One\nCOPY x /\nFROM scratch\nCOPY --from=0 /x /a\n"
                        "COPY --from=ONE /x /b\nCOPY --from=other /x /c\n"),
                 options_for("linux/arm64"), {});
  std::vector<std::string> sources;
  for (const auto& [position, source] : graph.stages[1].sources) {
    if (const auto* stage = std::get_if<StageBase>(&source))
      sources.push_back(std::to_string(stage->stage));
    else if (const auto* request = std::get_if<ImageRequest>(&source))
      sources.push_back(request->image.familiar() + " " + request->platform.str());
  }
  EXPECT_THAT(sources, ElementsAre("0", "0", "other:latest linux/arm64"));
}

// ---- Configuration

// Rule 55: a WORKDIR is cleaned; the base's own is not made again.
TEST(Instructions, CleanTheWorkingDirectory) {
  const BuildPlan plan =
      plan_of("FROM base\nWORKDIR x//y/./z/\n", images_with({.working_dir = "/b"}));
  EXPECT_EQ(plan.config.config.working_dir, "/b/x/y/z");
  EXPECT_THAT(operations<MakeDirectory>(plan), SizeIs(1));
  EXPECT_THAT(operations<MakeDirectory>(plan_of("FROM base\n", images_with({.working_dir = "/b"}))),
              IsEmpty());
}

// Rule 57: USER is kept as written.
TEST(Instructions, KeepTheUserAsWritten) {
  for (const char* user : {"app", "1000", "app:grp", "1000:1000", "app:"})
    EXPECT_EQ(config_of("USER " + std::string(user) + "\n").user, user);
}

// Rule 58: the CMD of a base stage does not count as the stage's own.
TEST(Instructions, DropTheCmdOfABaseStage) {
  const BuildPlan plan = plan_of("FROM scratch AS a\nCMD [\"old\"]\nFROM a\nENTRYPOINT [\"e\"]\n");
  EXPECT_EQ(plan.config.config.cmd, std::nullopt);
}

// Rule 59: an empty CMD is an empty list; an empty ENTRYPOINT is none, and drops the base's CMD.
TEST(Instructions, ResetWithEmptyLists) {
  const ResolvedImages images = images_with(
      {.entrypoint = std::vector<std::string>{"e"}, .cmd = std::vector<std::string>{"c"}});
  const oci::RunConfig cmd = plan_of("FROM base\nCMD []\n", images).config.config;
  EXPECT_EQ(cmd.cmd, std::vector<std::string>());
  EXPECT_EQ(cmd.entrypoint, std::vector<std::string>{"e"});
  const oci::RunConfig entrypoint = plan_of("FROM base\nENTRYPOINT []\n", images).config.config;
  EXPECT_EQ(entrypoint.cmd, std::nullopt);
  EXPECT_EQ(entrypoint.entrypoint, std::nullopt);
}

// Rule 60: SHELL stays in the config, is inherited, and does not reach HEALTHCHECK.
TEST(Instructions, InheritTheShell) {
  const ResolvedImages images = images_with({.shell = {"/bin/bash", "-c"}});
  const BuildPlan plan = plan_of("FROM base\nRUN x\nCMD y\nHEALTHCHECK CMD z\n", images);
  EXPECT_THAT(operations<RunStep>(plan)[0].argv, ElementsAre("/bin/bash", "-c", "x"));
  EXPECT_THAT(*plan.config.config.cmd, ElementsAre("/bin/bash", "-c", "y"));
  EXPECT_THAT(plan.config.config.healthcheck->test, ElementsAre("CMD-SHELL", "z"));
  EXPECT_THAT(plan.config.config.shell, ElementsAre("/bin/bash", "-c"));
}

// Rule 61: NONE, a JSON form; absent times are 0.
TEST(Instructions, KnowTheFormsOfHealthcheck) {
  EXPECT_THAT(config_of("HEALTHCHECK NONE\n").healthcheck->test, ElementsAre("NONE"));
  const oci::Healthcheck exec = *config_of("HEALTHCHECK CMD [\"a\", \"b\"]\n").healthcheck;
  EXPECT_THAT(exec.test, ElementsAre("CMD", "a", "b"));
  EXPECT_EQ(exec.interval_ns, 0);
  EXPECT_EQ(exec.retries, 0);
}

// Rule 62: VOLUME is a name in the config, and no step.
TEST(Instructions, MakeNoStepOfAVolume) {
  const BuildPlan plan = plan_of("FROM scratch\nVOLUME /b /a\nVOLUME [\"/a\", \"/c d\"]\n");
  EXPECT_THAT(plan.config.config.volumes, ElementsAre("/a", "/b", "/c d"));
  EXPECT_THAT(operations<MakeDirectory>(plan), IsEmpty());
  EXPECT_THAT(operations<Copy>(plan), IsEmpty());
}

// Rule 63: a later LABEL of the same name wins.
TEST(Instructions, LetTheLaterLabelWin) {
  EXPECT_EQ(config_of("LABEL a=1 b=2\nLABEL a=3\n").labels,
            (std::map<std::string, std::string>{{"a", "3"}, {"b", "2"}}));
}

// Rule 64: STOPSIGNAL is checked, and kept as written.
TEST(Instructions, KeepTheSignalAsWritten) {
  for (const char* signal : {"SIGTERM", "kill", "9", "RTMIN+3"})
    EXPECT_EQ(config_of("STOPSIGNAL " + std::string(signal) + "\n").stop_signal, signal);
  EXPECT_NE(failure_of("STOPSIGNAL SIGNOPE\n"), "no error");
}

// Rule 65: ONBUILD makes no history; triggers of an image run first and are gone then.
TEST(Instructions, FireTriggersOnce) {
  EXPECT_THAT(history_of(plan_of("FROM scratch\nONBUILD ENV a=b\n")), IsEmpty());
  EXPECT_THAT(config_of("ONBUILD ENV a=b\n").on_build, ElementsAre("ENV a=b"));
  const BuildPlan plan =
      plan_of("FROM base\nENV E=$T\n", images_with({.on_build = {"ENV T=from-trigger"}}));
  EXPECT_THAT(plan.config.config.env, ElementsAre(kPath, "T=from-trigger", "E=from-trigger"));
  EXPECT_THAT(plan.config.config.on_build, IsEmpty());
}

// Rule 66: a stage of a stage has its platform.
TEST(Instructions, InheritThePlatform) {
  const StageGraph graph =
      make_graph(parsed("FROM --platform=linux/arm64 base AS a\nFROM a\n"), options_for(), {});
  EXPECT_EQ(graph.stages[1].platform.str(), "linux/arm64");
}

// Rule 67: docker's ArgsEscaped is not set.
TEST(Instructions, LeaveArgsEscapedOut) {
  EXPECT_THAT(to_text(plan_of("FROM scratch\nCMD x\n")), testing::Not(HasSubstr("ArgsEscaped")));
}

// ---- History

TEST(History, IsDockersForEveryInstruction) {
  EXPECT_EQ(history_of("RUN a  b \\\n  c\n"), "RUN /bin/sh -c a  b   c # buildkit");
  EXPECT_EQ(history_of("RUN [\"a\", \"b c\"]\n"), "RUN a b c # buildkit");
  EXPECT_EQ(history_of("ARG A=b B\nARG Q=\"x y\"\nRUN --network=none x\n"),
            "RUN |3 A=b B= Q=x y /bin/sh -c x # buildkit");
  EXPECT_EQ(history_of("RUN --mount=type=tmpfs,target=/t x\n"), "RUN /bin/sh -c x # buildkit");
  EXPECT_EQ(history_of("RUN <<EOF\na\nb\nEOF\n"), "RUN /bin/sh -c a\nb\n # buildkit");
  EXPECT_EQ(history_of("RUN <<S\n#!/x\nS\n"), "RUN /bin/sh -c /dev/pipes/S # buildkit");
  EXPECT_EQ(history_of("RUN cat <<A >/x\n1\nA\n"), "RUN /bin/sh -c cat <<A >/x\n1\nA # buildkit");
  EXPECT_EQ(history_of("COPY a b /d/\n"), "COPY a b /d/ # buildkit");
  EXPECT_EQ(history_of("COPY [\"a b\", \"c\"]\n"), "COPY a b c # buildkit");
  EXPECT_EQ(history_of("COPY --link --exclude=x --chmod=755 --chown=1:2 --parents a /d\n"),
            "COPY --parents --chown=1:2 --chmod=755 a /d # buildkit");
  EXPECT_EQ(history_of("COPY a <<b /d/\nx\nb\n"), "COPY a <<b /d/ # buildkit");
  EXPECT_EQ(history_of("ADD --unpack=false a.tar .\n"), "ADD a.tar . # buildkit");
  EXPECT_EQ(history_of("WORKDIR a/../b/\n"), "WORKDIR /b");
  EXPECT_EQ(history_of("ENV a=\"b c\" d='e'\n"), "ENV a=b c d=e");
  EXPECT_EQ(history_of("ENV old form \"x\"\n"), "ENV old=form x");
  EXPECT_EQ(history_of("ARG a b=\"c d\"\n"), "ARG a b=c d");
  EXPECT_EQ(history_of("LABEL a=\"b\\\"c\" \"d e\"=f\n"), "LABEL a=b\"c d e=f");
  EXPECT_EQ(history_of("USER app:grp\n"), "USER app:grp");
  EXPECT_EQ(history_of("EXPOSE 80 443/UDP 7-8\n"), "EXPOSE [443/udp 7/tcp 8/tcp 80/tcp]");
  EXPECT_EQ(history_of("VOLUME /b /a\n"), "VOLUME [/b /a]");
  EXPECT_EQ(history_of("SHELL [\"/bin/bash\", \"-c\"]\n"), "SHELL [/bin/bash -c]");
  EXPECT_EQ(history_of("STOPSIGNAL 9\n"), "STOPSIGNAL 9");
  EXPECT_EQ(history_of("HEALTHCHECK --interval=90s --retries=10 CMD [\"a\", \"b c\"]\n"),
            "HEALTHCHECK &{[\"CMD\" \"a\" \"b c\"] \"1m30s\" \"0s\" \"0s\" \"0s\" '\\n'}");
  EXPECT_EQ(history_of("HEALTHCHECK NONE\n"),
            "HEALTHCHECK &{[\"NONE\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\x00'}");
  EXPECT_EQ(history_of("ENTRYPOINT [\"e\", \"x\\ty\", \"\\u00e9\\u200b\"]\n"),
            "ENTRYPOINT [\"e\" \"x\\ty\" \"\u00e9\\u200b\"]");
  EXPECT_EQ(history_of("ENTRYPOINT []\n"), "ENTRYPOINT []");
  EXPECT_EQ(history_of("CMD echo \"$A\"\n"), "CMD [\"/bin/sh\" \"-c\" \"echo \\\"$A\\\"\"]");
  EXPECT_EQ(history_of("MAINTAINER a b <c@d>\n"), "MAINTAINER a b <c@d>");
}

TEST(History, OfAnArgNamesTheGlobalValue) {
  EXPECT_THAT(history_of(plan_of("ARG G=g\nFROM scratch\nARG G\n")), ElementsAre("ARG G=g"));
}

TEST(History, KeepsTheOrderOfTheImagesEnvironment) {
  EXPECT_THAT(config_of("ENV A=1 B=2\nENV C=3\nENV A=4\n").env,
              ElementsAre(kPath, "A=4", "B=2", "C=3"));
}

}  // namespace
}  // namespace strake::plan
