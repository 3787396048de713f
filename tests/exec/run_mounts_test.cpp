#include "builder/exec/run_mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <thread>

#include "layers/base/error.h"
#include "tests/exec/store_support.h"
#include "tests/support/tar_builder.h"

namespace strake::builder {
namespace {

using dockerfile::CacheSharing;
using dockerfile::MountType;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr plan::StepId kSource{7};

plan::Mount mount_of(MountType type, const std::string& target) {
  plan::Mount mount;
  mount.options.type = type;
  mount.options.target = target;
  return mount;
}

plan::Mount cache(const std::string& id, const std::string& target, CacheSharing sharing) {
  plan::Mount mount = mount_of(MountType::cache, target);
  mount.options.id = id;
  mount.options.sharing = sharing;
  mount.options.read_only = false;
  return mount;
}

plan::Mount bind(const std::string& source, const std::string& target) {
  plan::Mount mount = mount_of(MountType::bind, target);
  mount.options.source = source;
  mount.from = kSource;
  return mount;
}

plan::Mount secret(const std::string& id) {
  plan::Mount mount = mount_of(MountType::secret, "/run/secrets/" + id);
  mount.options.id = id;
  return mount;
}

class RunMountsTest : public MachineTest {
 protected:
  void SetUp() override {
    ::umask(022);
    if (layers::usable_xattr_namespace() != layers::XattrNamespace::trusted)
      GTEST_SKIP() << "needs root: overlay mounts and files of other owners";
  }

  /// What mounts with from= see.
  void source(const test::TarBuilder& files) {
    const std::string tar = files.str();
    base::StringSource bytes(tar);
    stack_ = {layers_.unpack(bytes, {base::Digest::of(tar)}).diff_id};
  }
  RunMounts open(const plan::Run& run, const std::stop_token& stop = {}) {
    sources_ = open_mount_sources(run, machine_, fetcher_,
                                  [&](plan::StepId id) -> const std::vector<base::DiffId>& {
                                    EXPECT_EQ(id, kSource);
                                    return stack_;
                                  });
    return again(run, stop);
  }
  RunMounts again(const plan::Run& run, const std::stop_token& stop = {}) {
    return RunMounts(run, sources_, machine_, {secrets_, agents_}, stop,
                     [this](const std::string& note) { notes_.push_back(note); });
  }
  std::string failure_of(const plan::Run& run) {
    try {
      open(run);
    } catch (const base::Error& error) {
      return std::string(error.what()) + " | " + error.hint();
    }
    return "no error";
  }
  static sandbox::Spec spec_of(const RunMounts& mounts, std::vector<std::string> env = {}) {
    sandbox::Spec spec;
    spec.env = std::move(env);
    mounts.add_to(spec);
    return spec;
  }
  static std::string content(int directory, const std::string& path) {
    const base::FileDescriptor file(::openat(directory, path.c_str(), O_RDONLY | O_CLOEXEC));
    return file ? base::read_all(file.get(), 1 << 20, path) : "(absent)";
  }

  std::vector<base::DiffId> stack_;
  LayerFetcher fetcher_{machine_, {}};
  MountSources sources_;
  std::vector<SecretSource> given_ = {{"token", "hush", {}}};
  Secrets secrets_{given_};
  std::vector<AgentSource> agents_;
  std::vector<std::string> notes_;
};

TEST_F(RunMountsTest, ABindShowsAPartOfItsSource) {
  source(test::TarBuilder().directory("d").file("d/f", "in d").file("f", "at the top"));
  plan::Run run;
  run.mounts = {bind("/d", "/mnt"), bind("/f", "/file")};
  const RunMounts mounts = open(run);
  const sandbox::Spec spec = spec_of(mounts);
  ASSERT_EQ(spec.mounts.size(), 2U);
  const auto& first = std::get<sandbox::BindMount>(spec.mounts[0]);
  EXPECT_EQ(first.target, "/mnt");
  EXPECT_TRUE(first.read_only);
  EXPECT_EQ(content(first.source_fd, "f"), "in d");
  struct ::stat status;
  ASSERT_EQ(::fstat(std::get<sandbox::BindMount>(spec.mounts[1]).source_fd, &status), 0);
  EXPECT_TRUE(S_ISREG(status.st_mode));
}

TEST_F(RunMountsTest, ASourceThatIsNotThereIsNamed) {
  source(test::TarBuilder().file("f"));
  plan::Run run;
  run.mounts = {bind("/nowhere", "/mnt")};
  EXPECT_THAT(failure_of(run), HasSubstr("nowhere"));
  // Nor is it made because something is mounted inside of it.
  run.mounts.push_back(cache("c", "/mnt/cache", CacheSharing::shared));
  EXPECT_THAT(failure_of(run), HasSubstr("nowhere"));
}

// C04: symlinks of an image, whatever they say, end inside of it.
// Case D01: a symlink in the source of a mount leads to files of the source's root.
TEST_F(RunMountsTest, LinksInASourceStayInside) {
  const std::string outside = make("outside").native();
  std::ofstream(outside + "/canary") << "outside";
  source(test::TarBuilder()
             .directory("inside")
             .file("inside/f", "inside")
             .symlink("absolute", "/inside")
             .symlink("up", "../../../../../../inside")
             .symlink("out", outside)
             .symlink("proc", "/proc/self/root")
             .symlink("loop", "loop"));
  for (const char* path : {"/absolute", "/up"}) {
    plan::Run run;
    run.mounts = {bind(path, "/mnt")};
    const RunMounts mounts = open(run);
    EXPECT_EQ(content(std::get<sandbox::BindMount>(spec_of(mounts).mounts[0]).source_fd, "f"),
              "inside");
  }
  for (const char* path : {"/out", "/proc", "/loop"}) {
    plan::Run run;
    run.mounts = {bind(path, "/mnt")};
    EXPECT_NE(failure_of(run), "no error | ") << path;
  }
}

TEST_F(RunMountsTest, PlacesForMountsInsideOfAReadOnlyOneAreMadeInACopy) {
  source(test::TarBuilder().directory("d").symlink("d/link", "/d"));
  plan::Run run;
  run.mounts = {bind("/d", "/mnt"), cache("c", "/mnt/a/cache", CacheSharing::shared),
                secret("token")};
  run.mounts[2].options.target = "/mnt/a/secret";
  {
    const RunMounts mounts = open(run);
    const int root = std::get<sandbox::BindMount>(spec_of(mounts).mounts[0]).source_fd;
    EXPECT_EQ(content(root, "a/secret"), "");
    struct ::stat status;
    EXPECT_EQ(::fstatat(root, "a/cache", &status, 0), 0);
  }
  run.mounts.resize(1);
  const RunMounts mounts = open(run);
  const int root = std::get<sandbox::BindMount>(spec_of(mounts).mounts[0]).source_fd;
  EXPECT_EQ(::faccessat(root, "a", F_OK, 0), -1);
}

// The number of waiting would be for ever: each lock is this very step's.
TEST_F(RunMountsTest, OneCacheMountedTwiceIsTakenOnce) {
  for (const CacheSharing first :
       {CacheSharing::shared, CacheSharing::locked, CacheSharing::private_})
    for (const CacheSharing second :
         {CacheSharing::shared, CacheSharing::locked, CacheSharing::private_}) {
      plan::Run run;
      run.mounts = {cache("c", "/a", first), cache("c", "/b", second)};
      const RunMounts mounts = open(run);
      const sandbox::Spec spec = spec_of(mounts);
      EXPECT_EQ(std::get<sandbox::BindMount>(spec.mounts[0]).source_fd,
                std::get<sandbox::BindMount>(spec.mounts[1]).source_fd);
      EXPECT_THAT(notes_, IsEmpty());
    }
}

TEST_F(RunMountsTest, TheStrictestOfTwoMountsOfOneCacheCounts) {
  plan::Run both, other;
  both.mounts = {cache("c", "/a", CacheSharing::shared), cache("c", "/b", CacheSharing::locked)};
  other.mounts = {cache("c", "/a", CacheSharing::shared)};
  const RunMounts held = open(both);
  std::stop_source stop;
  std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop.request_stop();
  });
  EXPECT_THROW(open(other, stop.get_token()), base::Error);
  EXPECT_THAT(notes_, ElementsAre(HasSubstr("waiting for the cache mount \"c\"")));
}

// Two steps that take two caches in different orders must not wait for each other.
TEST_F(RunMountsTest, StepsWithTheSameCachesInAnotherOrderEnd) {
  plan::Run ab, ba;
  ab.mounts = {cache("a", "/1", CacheSharing::locked), cache("b", "/2", CacheSharing::locked)};
  ba.mounts = {cache("b", "/1", CacheSharing::locked), cache("a", "/2", CacheSharing::locked)};
  const MountSources none(2);
  std::stop_source stop;
  std::atomic<int> ended = 0;
  {
    std::vector<std::jthread> steps;
    for (const plan::Run* run : {&ab, &ba})
      steps.emplace_back([&, run] {
        for (int i = 0; i < 10; ++i)
          RunMounts(*run, none, machine_, {secrets_, agents_}, stop.get_token(),
                    [](const std::string&) {});
        ++ended;
      });
    for (int i = 0; i < 200 && ended < 2; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(ended, 2);
    if (ended < 2) std::_Exit(1);  // nothing else would end them
  }
}

TEST_F(RunMountsTest, ACacheMayBeginAsACopyOfItsSource) {
  source(test::TarBuilder().directory("seed").file("seed/f", "seeded", {.mode = 0640, .uid = 5}));
  plan::Run run;
  run.mounts = {cache("c", "/c", CacheSharing::shared)};
  run.mounts[0].from = kSource;
  run.mounts[0].options.source = "/seed";
  {
    const RunMounts mounts = open(run);
    const int cache = std::get<sandbox::BindMount>(spec_of(mounts).mounts[0]).source_fd;
    EXPECT_EQ(content(cache, "f"), "seeded");
    ASSERT_EQ(::unlinkat(cache, "f", 0), 0);
  }
  {
    const RunMounts mounts = open(run);
    EXPECT_EQ(content(std::get<sandbox::BindMount>(spec_of(mounts).mounts[0]).source_fd, "f"),
              "(absent)");  // it is the step's own since
  }
  source(test::TarBuilder().directory("seed").file("seed/f", "another"));
  const RunMounts mounts = open(run);
  EXPECT_EQ(content(std::get<sandbox::BindMount>(spec_of(mounts).mounts[0]).source_fd, "f"),
            "another");
}

TEST_F(RunMountsTest, SecretsAreFilesOrVariablesOrBoth) {
  plan::Run run;
  run.mounts = {secret("token"), secret("token"), secret("token")};
  run.mounts[0].options.mode = 0440;
  run.mounts[0].options.uid = 1000;
  run.mounts[1].options.target = "";
  run.mounts[1].options.variable = "TOKEN";
  run.mounts[2].options.target = "/both";
  run.mounts[2].options.variable = "BOTH";
  const RunMounts mounts = open(run);
  const sandbox::Spec spec = spec_of(mounts, {"A=1"});
  EXPECT_THAT(spec.env, ElementsAre("A=1", "TOKEN=hush", "BOTH=hush"));
  ASSERT_EQ(spec.mounts.size(), 2U);
  const auto& file = std::get<sandbox::InlineFile>(spec.mounts[0]);
  EXPECT_EQ(file.target, "/run/secrets/token");
  EXPECT_EQ(file.content, "hush");
  EXPECT_EQ(file.mode, 0440U);
  EXPECT_EQ(file.uid, 1000U);
  EXPECT_EQ(std::get<sandbox::InlineFile>(spec.mounts[1]).mode, 0400U);
}

TEST_F(RunMountsTest, AVariableOfASecretIsThereOnce) {
  plan::Run run;
  run.mounts = {secret("token")};
  run.mounts[0].options.variable = "TOKEN";
  const RunMounts mounts = open(run);
  EXPECT_THAT(spec_of(mounts, {"TOKEN=old", "TOKENS=x"}).env,
              ElementsAre("TOKENS=x", "TOKEN=hush"));
}

TEST_F(RunMountsTest, WhatWasNotGivenIsLeftOutUnlessItIsRequired) {
  plan::Run run;
  run.mounts = {secret("tokn"), mount_of(MountType::ssh, "/agent")};
  run.mounts[1].options.id = "default";
  {
    const RunMounts mounts = open(run);
    const sandbox::Spec spec = spec_of(mounts);
    EXPECT_THAT(spec.mounts, IsEmpty());
    EXPECT_THAT(spec.env, IsEmpty());
    EXPECT_THAT(notes_, ElementsAre(HasSubstr("the secret \"tokn\""), HasSubstr("\"default\"")));
  }
  run.mounts[1].options.required = true;
  EXPECT_THAT(failure_of(run), HasSubstr("add --ssh default"));
  run.mounts[0].options.required = true;
  EXPECT_THAT(failure_of(run), HasSubstr("did you mean \"token\"?"));
}

TEST_F(RunMountsTest, TheFirstAgentIsTheOneOfTheEnvironment) {
  const std::string path = (top() / "agent").native();
  const base::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(socket.get(), 8), 0);
  agents_ = {{"default", path}};
  plan::Run run;
  run.mounts = {mount_of(MountType::ssh, "/run/a"), mount_of(MountType::ssh, "/run/b")};
  for (plan::Mount& mount : run.mounts) mount.options.id = "default";
  const RunMounts mounts = open(run);
  EXPECT_THAT(spec_of(mounts, {"A=1"}).env, ElementsAre("A=1", "SSH_AUTH_SOCK=/run/a"));
  // As in docker: ENV has the last word.
  EXPECT_THAT(spec_of(mounts, {"SSH_AUTH_SOCK=/run/b"}).env, ElementsAre("SSH_AUTH_SOCK=/run/b"));
  EXPECT_EQ(spec_of(mounts).mounts.size(), 2U);
}

TEST_F(RunMountsTest, ATmpfsIsForAnyUser) {
  plan::Run run;
  run.mounts = {mount_of(MountType::tmpfs, "/t")};
  run.mounts[0].options.size_bytes = 4096;
  const RunMounts mounts = open(run);
  const sandbox::Spec spec = spec_of(mounts);
  const auto& tmpfs = std::get<sandbox::TmpfsMount>(spec.mounts.at(0));
  EXPECT_EQ(tmpfs.size_bytes, 4096U);
  EXPECT_EQ(tmpfs.mode, 01777U);
}

}  // namespace
}  // namespace strake::builder
