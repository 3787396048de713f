// What a RUN --mount becomes, and what an ADD from the network does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/base/error.h"
#include "tests/plan/plan_support.h"

namespace strake::plan {
namespace {

using dockerfile::CacheSharing;
using dockerfile::MountType;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

using RunStep = Run;  // testing::Test has a member Run

template <typename T>
std::vector<T> operations(const BuildPlan& plan) {
  std::vector<T> found;
  for (const Step& step : plan.steps)
    if (const auto* operation = std::get_if<T>(&step.operation)) found.push_back(*operation);
  return found;
}

/// The mounts of the one RUN; `flags` is "--mount=… --mount=…".
std::vector<Mount> mounts(const std::string& flags, const PlanOptions& options = options_for(),
                          const std::string& before = "") {
  return operations<RunStep>(
             plan_of("FROM scratch\n" + before + "RUN " + flags + " x\n", {}, options))
      .at(0)
      .mounts;
}
Mount mount(const std::string& fields, const std::string& before = "") {
  return mounts("--mount=" + fields, options_for(), before).at(0);
}

std::vector<std::string> targets(const std::vector<Mount>& mounts) {
  std::vector<std::string> found;
  for (const Mount& mount : mounts) found.push_back(mount.options.target);
  return found;
}

std::string failure_of(const std::string& text) {
  try {
    plan_of("FROM scratch\n" + text);
  } catch (const base::Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
  return "no error";
}

TEST(Mounts, SecretsHaveDefaults) {
  const auto secret = [](const std::string& fields) {
    return mount("type=secret," + fields).options;
  };
  EXPECT_EQ(secret("id=k").target, "/run/secrets/k");
  EXPECT_EQ(secret("id=a/b").target, "/run/secrets/b");
  EXPECT_EQ(secret("source=k").id, "k");
  EXPECT_EQ(secret("target=/etc/token").id, "token");
  EXPECT_EQ(secret("id=k,env=K").target, "");
  EXPECT_EQ(secret("id=k,env=K").variable, "K");
  EXPECT_EQ(secret("id=k,env=K,target=/k").target, "/k");
  EXPECT_EQ(secret("env=K").id, "K");
  EXPECT_FALSE(secret("id=k").required);
  EXPECT_TRUE(secret("id=k,required").required);
  EXPECT_NE(failure_of("RUN --mount=type=secret x\n"), "no error");
  EXPECT_NE(failure_of("RUN --mount=type=secret,id=.. x\n"), "no error");
}

TEST(Mounts, AgentsHaveDefaultsAndNumbers) {
  const std::vector<Mount> agents = mounts(
      "--mount=type=ssh --mount=type=ssh,id=b --mount=type=ssh,id=c,target=/run/c/d/e/f "
      "--mount=type=ssh,id=d");
  EXPECT_THAT(targets(agents), ElementsAre("/run/buildkit/ssh_agent.0", "/run/buildkit/ssh_agent.1",
                                           "/run/buildkit/ssh_agent.3", "/run/c/d/e/f"));
  EXPECT_EQ(agents[0].options.id, "default");
  EXPECT_EQ(agents[2].options.id, "d");
}

TEST(Mounts, CachesHaveDefaults) {
  const Mount cache = mount("type=cache,target=/root/.cache/");
  EXPECT_EQ(cache.options.id, "/root/.cache");
  EXPECT_EQ(cache.options.sharing, CacheSharing::shared);
  EXPECT_FALSE(cache.options.read_only);
  EXPECT_FALSE(cache.from);
  EXPECT_EQ(mount("type=cache,target=/c,id=pip").options.id, "pip");
  EXPECT_EQ(mount("type=cache,target=c", "WORKDIR /w\n").options.target, "/w/c");
  EXPECT_EQ(mount("type=cache,target=c", "WORKDIR /w\n").options.id, "/w/c");
}

// F05: whoever writes a Dockerfile must not reach the caches of another namespace.
TEST(Mounts, NamespacesKeepCachesApart) {
  const auto id = [](const std::string& space, const std::string& given) {
    PlanOptions options = options_for();
    options.cache_mount_namespace = space;
    return mounts("--mount=type=cache,target=/c,id=" + given, options).at(0).options.id;
  };
  EXPECT_EQ(id("", "a"), "a");
  EXPECT_NE(id("team", "a"), "a");
  EXPECT_NE(id("team", "a"), id("tea", "ma"));
  EXPECT_NE(id("team", "a"), id("", "teama"));
  EXPECT_NE(id("team", "a"), id("", "team/a"));
  EXPECT_EQ(id("team", "a"), id("team", "a"));
}

TEST(Mounts, OuterOnesComeFirst) {
  EXPECT_THAT(targets(mounts("--mount=type=tmpfs,target=/a/b/c --mount=type=cache,target=/z "
                             "--mount=type=secret,id=s,target=/a/b --mount=type=tmpfs,target=/a")),
              ElementsAre("/z", "/a", "/a/b", "/a/b/c"));
}

TEST(Mounts, TargetsAreCleanedAndNeverTheRoot) {
  EXPECT_EQ(mount("type=tmpfs,target=/a/../b//c/.").options.target, "/b/c");
  EXPECT_EQ(mount("type=tmpfs,target=../../../../b").options.target, "/b");
  for (const char* root : {"/", "/.", "/..", "/a/.."})
    EXPECT_THAT(failure_of(std::string("RUN --mount=type=tmpfs,target=") + root + " x\n"),
                HasSubstr("cannot have the target \"/\""));
  EXPECT_THAT(failure_of("RUN --mount=type=cache x\n"), HasSubstr("target"));
}

TEST(Mounts, VariablesAreExpanded) {
  const Mount cache = mount("type=cache,target=/$D,id=$D-id", "ARG D=data\n");
  EXPECT_EQ(cache.options.target, "/data");
  EXPECT_EQ(cache.options.id, "data-id");
}

TEST(Mounts, FilesOfTheContextAreALayerThatMountsShare) {
  const BuildPlan plan = plan_of(
      "FROM scratch\nRUN --mount=target=/src --mount=source=sub,target=/sub x\n"
      "RUN --mount=type=bind,target=/other,rw y\n");
  const std::vector<RunStep> runs = operations<RunStep>(plan);
  const std::vector<Copy> copies = operations<Copy>(plan);
  ASSERT_THAT(copies, SizeIs(2));
  EXPECT_THAT(copies[0].sources, ElementsAre("/"));
  EXPECT_THAT(copies[1].sources, ElementsAre("/sub"));
  EXPECT_EQ(copies[0].context, "");
  ASSERT_TRUE(runs[0].mounts[0].from);
  EXPECT_EQ(runs[0].mounts[0].from, runs[1].mounts[0].from);
  EXPECT_NE(runs[0].mounts[0].from, runs[0].mounts[1].from);
  EXPECT_EQ(runs[0].mounts[0].options.source, copies[0].destination);
  EXPECT_TRUE(runs[0].mounts[0].options.read_only);
  EXPECT_FALSE(runs[1].mounts[0].options.read_only);
}

TEST(Mounts, ASourceIsAPathAndNoPattern) {
  const BuildPlan plan = plan_of("FROM scratch\nRUN --mount=source=[a]*/../b*,target=/src x\n");
  EXPECT_THAT(operations<Copy>(plan).at(0).sources, ElementsAre("/b*"));
  EXPECT_TRUE(operations<Copy>(plan).at(0).exact);
}

TEST(Mounts, FilesOfAStageAreItsFileSystem) {
  const BuildPlan plan = plan_of(
      "FROM scratch AS deps\nCOPY a /a\nFROM scratch\n"
      "RUN --mount=from=deps,source=a,target=/a --mount=type=cache,from=deps,target=/c x\n");
  const RunStep run = operations<RunStep>(plan).at(0);
  ASSERT_TRUE(run.mounts[0].from);
  EXPECT_EQ(plan.step(*run.mounts[0].from).stage, "deps");
  EXPECT_EQ(run.mounts[0].options.source, "/a");
  EXPECT_EQ(run.mounts[1].from, run.mounts[0].from);
  EXPECT_EQ(run.mounts[1].options.source, "/");
}

TEST(Mounts, FilesOfANamedContextAreALayerOfIt) {
  PlanOptions options = options_for();
  options.contexts["deps"] = FileContext{};
  const BuildPlan plan =
      plan_of("FROM scratch\nRUN --mount=from=deps,target=/d --mount=target=/c x\n", {}, options);
  const std::vector<Copy> copies = operations<Copy>(plan);
  ASSERT_THAT(copies, SizeIs(2));
  EXPECT_EQ(copies[0].context, "deps");
  EXPECT_EQ(copies[1].context, "");
}

TEST(Mounts, EachInputOfARunPrecedesIt) {
  const BuildPlan plan = plan_of(
      "FROM scratch AS a\nCOPY x /\nFROM scratch\nRUN --mount=from=a,target=/a --mount=target=/c "
      "x\n");
  for (const Step& step : plan.steps)
    for (const StepId input : inputs_of(step)) EXPECT_LT(input, step.id);
  EXPECT_THAT(inputs_of(plan.steps.back()), SizeIs(3));
}

// ---- ADD

TEST(AddFromTheNetwork, LocalFilesAreAddedAsEver) {
  const BuildPlan plan = plan_of("FROM scratch\nADD a.tar b /\n");
  ASSERT_THAT(operations<Copy>(plan), SizeIs(1));
  EXPECT_TRUE(operations<Copy>(plan)[0].extract);
}

TEST(AddFromTheNetwork, EachSourceHasADirectoryOfItsOwn) {
  const BuildPlan plan = plan_of(
      "FROM scratch\nADD --exclude=*.md https://h/f local.tar https://g.com/r.git#v1:sub "
      "https://i/f /dest/\n");
  const std::vector<FetchFile> files = operations<FetchFile>(plan);
  ASSERT_THAT(files, SizeIs(2));
  EXPECT_EQ(files[0].path, "/0/f");
  EXPECT_EQ(files[1].path, "/3/f");
  const std::vector<FetchGit> repositories = operations<FetchGit>(plan);
  ASSERT_THAT(repositories, SizeIs(1));
  EXPECT_EQ(repositories[0].url, "https://g.com/r.git#v1:sub");
  EXPECT_EQ(repositories[0].path, "/2");
  EXPECT_FALSE(repositories[0].keep_git_dir);
  const std::vector<Copy> copies = operations<Copy>(plan);
  ASSERT_THAT(copies, SizeIs(2));
  EXPECT_THAT(copies[0].sources, ElementsAre("local.tar"));
  EXPECT_EQ(copies[0].destination, "/1/");
  EXPECT_FALSE(copies[0].from);
  EXPECT_TRUE(copies[0].extract);  // as without the others
  EXPECT_THAT(copies[0].excludes, ElementsAre("*.md"));
  EXPECT_THAT(copies[1].sources, ElementsAre("/0/f", "/1", "/2", "/3/f"));
  EXPECT_EQ(copies[1].destination, "/dest/");
  EXPECT_FALSE(copies[1].extract);
  ASSERT_TRUE(copies[1].from);
  EXPECT_EQ(plan.steps.back().parent, plan.steps.front().id);  // what is gathered is no layer
  EXPECT_THAT(plan.history, SizeIs(1));
}

TEST(AddFromTheNetwork, FlagsGoToWhatTheyAreAbout) {
  const std::string sum = "sha256:" + std::string(64, 'a');
  const BuildPlan plan = plan_of("FROM scratch\nARG S=" + sum +
                                 "\nADD --checksum=$S --unpack=true https://h/f.tar /\n");
  EXPECT_EQ(operations<FetchFile>(plan).at(0).checksum, sum);
  EXPECT_TRUE(operations<Copy>(plan).at(0).extract);
  const BuildPlan git = plan_of("FROM scratch\nADD --keep-git-dir https://h/r.git /\n");
  EXPECT_TRUE(operations<FetchGit>(git).at(0).keep_git_dir);
  EXPECT_THAT(failure_of("ADD --checksum=" + sum + " https://h/f https://h/g /\n"),
              HasSubstr("exactly one source"));
  EXPECT_THAT(failure_of("ADD --checksum=" + sum + " local /\n"), HasSubstr("remote source"));
  EXPECT_THAT(failure_of("ADD --keep-git-dir https://h/f /\n"), HasSubstr("git source"));
}

TEST(AddFromTheNetwork, NamesOfUrlsAreNoPatterns) {
  const BuildPlan plan = plan_of("FROM scratch\nADD https://h/a%5B1%5D* /\n");
  const std::string path = operations<FetchFile>(plan).at(0).path;
  EXPECT_THAT(operations<Copy>(plan).at(0).sources, ElementsAre(path));
  EXPECT_TRUE(operations<Copy>(plan).at(0).exact);
}

}  // namespace
}  // namespace strake::plan
