#include "builder/sandbox/cgroup.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include "layers/base/error.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using testing::ElementsAre;
using testing::HasSubstr;

/// Files in the place of /proc and of a hierarchy.
class CgroupDirectories : public testing::Test {
 protected:
  fs::path root() const { return temporary_.path(); }

  CgroupPlaces places(const std::string& own, const std::string& mounts) {
    std::ofstream(root() / "own") << own;
    std::ofstream(root() / "mounts") << mounts;
    return find_cgroups({root() / "own", root() / "mounts"});
  }
  /// A directory as the kernel would show it, for what is only read.
  fs::path group(const std::string& name, const std::map<std::string, std::string>& files) {
    const fs::path path = root() / name;
    fs::create_directories(path);
    for (const auto& [file, content] : files) std::ofstream(path / file) << content << "\n";
    return path;
  }
  static std::string refusal(const fs::path& own, const ResourceLimits& limits) {
    try {
      const Cgroup group(limits, {.unified = own, .separate = {}});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::unsupported);
      return std::string(error.what()) + " | " + error.hint();
    }
    return "no error";
  }

 private:
  base::TempDirectory temporary_{fs::temp_directory_path(), "strake-cgroup-"};
};

TEST_F(CgroupDirectories, OfVersionTwoAreFoundThroughTheirMount) {
  const CgroupPlaces found = places("0::/user.slice/run-1.scope\n",
                                    "30 1 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(found.unified, "/sys/fs/cgroup/user.slice/run-1.scope");
  EXPECT_TRUE(found.separate.empty());
}

TEST_F(CgroupDirectories, OfVersionOneHaveAHierarchyForEachController) {
  const CgroupPlaces found =
      places("5:memory:/a\n4:cpu,cpuacct:/b\n1:name=systemd:/c\n0::/\n",
             "35 31 0:32 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n"
             "36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
             "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  ASSERT_NE(found.separate_of("memory"), nullptr);
  EXPECT_EQ(*found.separate_of("memory"), "/sys/fs/cgroup/memory/a");
  EXPECT_EQ(*found.separate_of("cpu"), "/sys/fs/cgroup/cpu/b");
  EXPECT_EQ(found.separate_of("pids"), nullptr);
  EXPECT_EQ(found.unified, "/sys/fs/cgroup/unified");
}

TEST_F(CgroupDirectories, AreSeenThroughThePartThatAContainerHas) {
  EXPECT_EQ(places("0::/docker/7f/x\n", "1 2 0:1 /docker/7f /c rw - cgroup2 c rw\n").unified,
            "/c/x");
  EXPECT_EQ(places("0::/docker/7f\n", "1 2 0:1 /docker/7f /c rw - cgroup2 c rw\n").unified, "/c");
  EXPECT_EQ(places("0::/docker/7fa\n", "1 2 0:1 /docker/7f /c rw - cgroup2 c rw\n").unified,
            std::nullopt);
  EXPECT_EQ(places("0::/../b\n", "1 2 0:1 / /c rw - cgroup2 c rw\n").unified, std::nullopt);
}

TEST(CgroupLimits, AreFilesOfVersionTwo) {
  ResourceLimits limits;
  limits.memory_bytes = 1000;
  limits.cpu_time = CpuTime{150'000, 100'000};
  limits.cpu_shares = 1024;
  limits.cpus = "0-1";
  limits.processes = 10;
  EXPECT_THAT(
      limit_files(limits, CgroupVersion::two),
      ElementsAre(LimitFile{"memory", "memory.max", "1000"},
                  LimitFile{"memory", "memory.swap.max", "1000", true},
                  LimitFile{"cpu", "cpu.max", "150000 100000"},
                  LimitFile{"cpu", "cpu.weight", "39"}, LimitFile{"cpuset", "cpuset.cpus", "0-1"},
                  LimitFile{"pids", "pids.max", "11"}));
}

TEST(CgroupLimits, AreFilesOfVersionOneInAnOrderThatTheKernelTakes) {
  ResourceLimits limits;
  limits.memory_bytes = 1000;
  limits.memory_and_swap_bytes = 1500;
  limits.cpu_time = CpuTime{50'000, 100'000};
  limits.cpu_shares = 512;
  EXPECT_THAT(limit_files(limits, CgroupVersion::one),
              ElementsAre(LimitFile{"memory", "memory.limit_in_bytes", "1000"},
                          LimitFile{"memory", "memory.memsw.limit_in_bytes", "1500"},
                          LimitFile{"cpu", "cpu.cfs_period_us", "100000"},
                          LimitFile{"cpu", "cpu.cfs_quota_us", "50000"},
                          LimitFile{"cpu", "cpu.shares", "512"}));
}

TEST(CgroupLimits, OfSwapAreWhatIsLeftOfBoth) {
  ResourceLimits limits;
  limits.memory_bytes = 1000;
  const auto swap = [&](std::int64_t both) {
    limits.memory_and_swap_bytes = both;
    return limit_files(limits, CgroupVersion::two).at(1);
  };
  EXPECT_EQ(swap(1000), (LimitFile{"memory", "memory.swap.max", "0"}));
  EXPECT_EQ(swap(1001), (LimitFile{"memory", "memory.swap.max", "1"}));
  EXPECT_EQ(swap(-1), (LimitFile{"memory", "memory.swap.max", "max", true}));
}

TEST_F(CgroupDirectories, WithoutTheControllerAreRefusedWithTheKnob) {
  ResourceLimits limits;
  limits.memory_bytes = 1 << 20;
  const fs::path own = group("own", {{"cgroup.controllers", "pids"}, {"cgroup.procs", ""}});
  EXPECT_THAT(
      refusal(own, limits),
      testing::AllOf(HasSubstr("cannot limit the resources of steps: the controllers memory "
                               "are not available in " +
                               own.native()),
                     HasSubstr("systemd-run --scope -p Delegate=yes strake")));
}

TEST_F(CgroupDirectories, ThatAreNotDelegatedAreRefused) {
  ResourceLimits limits;
  limits.processes = 5;
  const fs::path own = group("own", {{"cgroup.controllers", "memory pids"}});
  fs::create_directory(own / "cgroup.subtree_control");  // cannot be written, whoever we are
  EXPECT_THAT(refusal(own, limits), HasSubstr("control groups are not delegated to this user"));
}

TEST_F(CgroupDirectories, WithoutALimitNothingIsMade) {
  const Cgroup none({}, {});
  EXPECT_TRUE(none.entries().empty());
  EXPECT_EQ(none.memory_kills(), 0U);
}

TEST_F(CgroupDirectories, WithNoHierarchyAtAllAreRefused) {
  ResourceLimits limits;
  limits.memory_bytes = 1 << 20;
  EXPECT_THROW(Cgroup(limits, CgroupPlaces{}), Error);
}

/// Steps in real control groups.
class LimitedStep : public StepTest {
 protected:
  void need(const ResourceLimits& limits) {
    if (IsSkipped()) return;
    try {
      const Cgroup group(limits);
    } catch (const Error& error) {
      GTEST_SKIP() << error.what();
    }
  }
  /// Those of living builders, such as the tests beside this one, are locked.
  static bool is_abandoned(const fs::path& group) {
    const base::FileDescriptor directory(::open(group.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return directory && ::flock(directory.get(), LOCK_EX | LOCK_NB) == 0;
  }
  static std::size_t groups_left() {
    const CgroupPlaces places = find_cgroups();
    std::vector<fs::path> parents;
    for (const auto& place : places.separate) parents.push_back(place.directory);
    if (places.unified) parents.push_back(*places.unified);
    std::size_t count = 0;
    for (const fs::path& parent : parents)
      for (const auto& entry : fs::directory_iterator(parent))
        if (entry.path().filename().native().starts_with("strake-") && is_abandoned(entry.path()))
          ++count;
    return count;
  }
};

TEST_F(LimitedStep, ThatTakesTooMuchMemoryIsKilledAndThatIsSaid) {
  ResourceLimits limits;
  limits.memory_bytes = 32 << 20;
  need(limits);
  if (IsSkipped()) return;
  // tail keeps its whole input when that has no line end.
  Spec step = shell("head -c 200000000 /dev/zero | tail > /dev/null");
  step.resources = limits;
  const ExitStatus status = run(step).status;
  EXPECT_NE(status.code, 0);
  EXPECT_TRUE(status.oom_killed);
  EXPECT_EQ(groups_left(), 0U);
}

TEST_F(LimitedStep, ThatTakesLessMemorySucceeds) {
  ResourceLimits limits;
  limits.memory_bytes = 64 << 20;
  need(limits);
  if (IsSkipped()) return;
  Spec step = shell("head -c 1000000 /dev/zero | tail -c 3 | wc -c");
  step.resources = limits;
  const Result result = run(step);
  EXPECT_EQ(result.output, "3\n");
  EXPECT_FALSE(result.status.oom_killed);
}

TEST_F(LimitedStep, CannotMakeMoreProcessesThanItMay) {
  ResourceLimits limits;
  limits.processes = 8;
  need(limits);
  if (IsSkipped()) return;
  // Each child asks for two more: without a limit this would not end.
  Spec step = shell(
      "f() { sleep 2 & sleep 2 & sleep 2 & sleep 2 & sleep 2 & sleep 2 & sleep 2 & sleep 2 & }; f");
  step.resources = limits;
  const ExitStatus status = run(step).status;
  EXPECT_NE(status.code, 0);
  EXPECT_TRUE(status.processes_exhausted);
  EXPECT_EQ(groups_left(), 0U);

  Spec modest = shell("sleep 0 & sleep 0 & wait; true");
  modest.resources = limits;
  EXPECT_EQ(run(modest).status.code, 0);
}

TEST_F(LimitedStep, GetsNoMoreThanItsShareOfTheProcessors) {
  ResourceLimits limits;
  limits.cpu_time = CpuTime{10'000, 100'000};
  need(limits);
  if (IsSkipped()) return;
  // Seconds of a busy loop by the clock and by the processor: on a busy machine the former says
  // nothing by itself.
  fs::create_symlink("busybox", image() / "bin/timeout");
  Spec step = shell("timeout 2 sh -c 'while :; do :; done'; cat /proc/self/stat >/dev/null; times");
  step.resources = limits;
  const std::string output = run(step).output;  // "0m0.00s 0m0.00s" of the shell, its children
  const std::string children = output.substr(output.find('\n') + 1);
  ASSERT_TRUE(children.starts_with("0m")) << output;
  EXPECT_LT(std::stod(children.substr(2)), 0.6) << output;  // a tenth of two seconds, and a bit
}

TEST_F(LimitedStep, MayUseSomeProcessorsOnly) {
  ResourceLimits limits;
  limits.cpus = "0";
  need(limits);
  if (IsSkipped()) return;
  Spec step = shell("nproc");
  step.resources = limits;
  EXPECT_EQ(run(step).output, "1\n");
  EXPECT_EQ(groups_left(), 0U);
}

TEST_F(LimitedStep, RefusesProcessorsThatAreNotThere) {
  ResourceLimits limits;
  limits.cpus = "0";
  need(limits);
  if (IsSkipped()) return;
  limits.cpus = "4000";
  Spec step = shell("true");
  step.resources = limits;
  try {
    run(step);
    ADD_FAILURE() << "it ran";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_input) << error.what();
    EXPECT_THAT(error.what(), HasSubstr("\"4000\""));
  }
  EXPECT_EQ(groups_left(), 0U);
}

TEST_F(LimitedStep, DoesNotSeeTheNameOfItsGroup) {
  ResourceLimits limits;
  limits.processes = 20;
  need(limits);
  if (IsSkipped()) return;
  Spec step = shell("cat /proc/self/cgroup");
  step.resources = limits;
  EXPECT_EQ(run(step).output.find("strake-"), std::string::npos);
}

TEST_F(LimitedStep, SweepsAwayWhatAKilledBuilderLeft) {
  ResourceLimits limits;
  limits.processes = 20;
  need(limits);
  if (IsSkipped()) return;
  const CgroupPlaces places = find_cgroups();
  if (places.separate_of("pids") == nullptr)
    GTEST_SKIP() << "with version 2 the place depends on who else is there";
  const fs::path& parent = *places.separate_of("pids");
  fs::create_directory(parent / "strake-abandoned");
  { const Cgroup group(limits); }
  EXPECT_FALSE(fs::exists(parent / "strake-abandoned"));
  const Cgroup held(limits);
  const fs::path kept =
      fs::read_symlink("/proc/self/fd/" + std::to_string(held.entries().front())).parent_path();
  { const Cgroup second(limits); }
  EXPECT_TRUE(fs::exists(kept));  // what is in use stays
}

TEST_F(LimitedStep, IsStoppedWhenItsTimeIsOver) {
  Spec step = shell("trap '' TERM; sleep 30 & sleep 30");
  step.timeout = std::chrono::milliseconds(300);
  sandbox_ = std::make_unique<RootSandbox>(std::chrono::milliseconds(200));
  const auto begin = std::chrono::steady_clock::now();
  const ExitStatus status = run(step).status;
  const auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_TRUE(status.timed_out);
  EXPECT_EQ(status.code, 124);
  EXPECT_GE(took, std::chrono::milliseconds(300));
  EXPECT_LT(took, std::chrono::seconds(15));
}

TEST_F(LimitedStep, ThatEndsInTimeIsNotStopped) {
  Spec step = shell("exit 3");
  step.timeout = std::chrono::seconds(60);
  const ExitStatus status = run(step).status;
  EXPECT_FALSE(status.timed_out);
  EXPECT_EQ(status.code, 3);
}

}  // namespace
}  // namespace strake::sandbox
