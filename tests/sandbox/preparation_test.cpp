// What is made ready before a step starts: files, the search for the command, mount points.

#include <sys/mount.h>

#include "builder/sandbox/doctor.h"
#include "builder/sandbox/network_files.h"
#include "builder/sandbox/step_program.h"
#include "layers/base/error.h"
#include "tests/sandbox/step_fixture.h"
#include "tests/support/recording_sandbox.h"

namespace strake::sandbox {
namespace {

using Strings = std::vector<std::string>;

Spec command(Strings argv, Strings env = {}) {
  Spec spec;
  spec.argv = std::move(argv);
  spec.env = std::move(env);
  return spec;
}

TEST(CommandCandidates, AreThePathsDirectoriesInOrder) {
  EXPECT_EQ(command_candidates(command({"cc"}, {"A=b", "PATH=/opt/bin:/bin"})),
            (Strings{"/opt/bin/cc", "/bin/cc"}));
  EXPECT_EQ(command_candidates(command({"cc"}, {"PATH=:/bin:"})), (Strings{"cc", "/bin/cc", "cc"}));
}

TEST(CommandCandidates, IsTheCommandItselfWhenItHasASlash) {
  EXPECT_EQ(command_candidates(command({"./cc"}, {"PATH=/bin"})), Strings{"./cc"});
}

TEST(CommandCandidates, UseDockersPathWithoutOne) {
  EXPECT_EQ(command_candidates(command({"cc"})).front(), "/usr/local/sbin/cc");
}

TEST(InitPlan, NeedsACommand) {
  EXPECT_THROW(make_init_plan(command({})), base::Error);
}

TEST(InitPlan, NamesTheNearestUlimit) {
  Spec spec = command({"x"});
  spec.ulimits = {{"nofiles", 1, 1}};
  try {
    make_init_plan(spec);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::invalid_input);
    EXPECT_EQ(error.hint(), "write nofile");
  }
}

TEST(InitProgram, CannotBeChanged) {
  const base::FileDescriptor program = make_init_program();
  EXPECT_EQ(::pwrite(program.get(), "x", 1, 0), -1);
  EXPECT_EQ(errno, EPERM);
}

TEST(HostsFile, NamesTheStepAndTheExtraHostsInOrder) {
  Spec spec;
  spec.hostname = "build";
  spec.extra_hosts = {{"db", "10.0.0.1"}, {"db", "::2"}};
  EXPECT_EQ(hosts_file(spec, spec.hostname),
            "127.0.0.1\tlocalhost build\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            "10.0.0.1\tdb\n::2\tdb\n");
}

TEST(ResolverFile, IsTheGivenContentInAnyNetwork) {
  Spec spec;
  spec.resolv_conf = "nameserver 192.0.2.1\n";
  EXPECT_EQ(resolver_file(spec), *spec.resolv_conf);
  spec.network = Network::none;
  EXPECT_EQ(resolver_file(spec), *spec.resolv_conf);
}

TEST(MountPoints, GoAwayInsideOutAndOnlyWhileTheyAreEmptyAndOurs) {
  const base::TempDirectory directory(fs::temp_directory_path(), "strake-points-");
  const fs::path root = directory.path();
  {
    MountPoints points(base::RootedDirectory::open_host(root.native()));
    points.directory("/a/b/c");
    points.file("/a/file");
    points.directory("/used/inner");
    points.file("/replaced");
    std::ofstream(root / "used/content") << "x";
    fs::remove(root / "replaced");
    std::ofstream(root / "replaced").flush();
  }
  EXPECT_FALSE(fs::exists(root / "a"));
  EXPECT_TRUE(fs::exists(root / "used/content"));
  EXPECT_FALSE(fs::exists(root / "used/inner"));
  EXPECT_TRUE(fs::exists(root / "replaced"));
}

TEST(MountPoints, TakeWhatIsThereAndLeaveIt) {
  const base::TempDirectory directory(fs::temp_directory_path(), "strake-points-");
  fs::create_directories(directory.path() / "there");
  {
    MountPoints points(base::RootedDirectory::open_host(directory.path().native()));
    EXPECT_TRUE(points.directory("/there"));
    EXPECT_THROW(points.file("/there"), base::Error);
  }
  EXPECT_TRUE(fs::exists(directory.path() / "there"));
}

TEST(Doctor, AnswersEachQuestionOnceAndGivesAKnobForWhatFails) {
  const base::TempDirectory store(fs::temp_directory_path(), "strake-doctor-");
  std::set<std::string> features;
  for (const Check& check : diagnose(store.path()).checks) {
    EXPECT_TRUE(features.insert(check.feature).second) << check.feature;
    EXPECT_FALSE(check.detail.empty()) << check.feature;
    EXPECT_FALSE(check.gives.empty()) << check.feature;
    EXPECT_EQ(check.knob.empty(), check.ok) << check.feature << ": " << check.detail;
  }
  for (const char* feature : {"root", "user-namespaces", "overlay", "id-ranges", "proc",
                              "mount-api", "emulation", "seccomp", "chroot", "store"})
    EXPECT_TRUE(features.contains(feature)) << feature;
  EXPECT_TRUE(fs::is_empty(store.path()));
}

TEST(Doctor, FindsEverythingThatStepsNeedWhereStepsRun) {
  if (!has_capability(own_capabilities(), 21)) GTEST_SKIP() << "needs CAP_SYS_ADMIN";
  const base::TempDirectory store(fs::temp_directory_path(), "strake-doctor-");
  for (const Check& check : diagnose(store.path()).checks)
    if (check.feature == "mount-api" || check.feature == "overlay" || check.feature == "proc") {
      EXPECT_TRUE(check.ok) << check.feature << ": " << check.detail;
    }
}

TEST(RecordingSandbox, KeepsSpecsAndAnswersAsTold) {
  test::RecordingSandbox recorder;
  recorder.runnable = {"amd64"};
  recorder.answer = [](const Spec& spec, base::ByteSink& output) {
    output.write(base::bytes_of("ran " + spec.argv.front()));
    return ExitStatus{.code = 3};
  };
  base::StringSink output;
  EXPECT_EQ(recorder.run(command({"make"}), output, {}).code, 3);
  EXPECT_EQ(output.text, "ran make");
  EXPECT_EQ(recorder.runs().front().argv, Strings{"make"});
  EXPECT_NO_THROW(recorder.check_runnable("amd64"));
  EXPECT_THROW(recorder.check_runnable("arm64"), base::Error);
}

}  // namespace
}  // namespace strake::sandbox
