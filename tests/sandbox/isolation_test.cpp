// What a hostile step must not be able to do.

#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <chrono>
#include <map>
#include <thread>

#include "builder/sandbox/seccomp_profile.h"
#include "layers/base/error.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

class Isolation : public StepTest {
 protected:
  /// Whether a process of this machine has `text` in its command line.
  static bool runs(const std::string& text) {
    std::error_code error;
    for (const auto& process : fs::directory_iterator("/proc")) {
      // Processes that are about to end cannot be read.
      const base::FileDescriptor file(
          ::open((process.path() / "cmdline").c_str(), O_RDONLY | O_CLOEXEC));
      std::string command(4096, '\0');
      const ssize_t size = file ? ::read(file.get(), command.data(), command.size()) : 0;
      command.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
      if (command.find(text) != std::string::npos) return true;
    }
    return false;
  }
  static std::string mounts() { return base::read_file("/proc/self/mountinfo").value_or(""); }
};

TEST_F(Isolation, RefusesTheSystemCallsOfTheProfile) {
  install("denied-calls", STRAKE_DENIED_CALLS);
  std::istringstream lines(output_of("denied-calls"));
  std::string section = "denied:";
  std::map<std::string, int> seen;
  for (std::string name; lines >> name;) {
    if (name.back() == ':') {
      section = name;
      continue;
    }
    int error = -1;
    lines >> error;
    ++seen[section];
    const bool allowed = section.ends_with("allowed:");
    const int expected = name == "clone3" ? ENOSYS : allowed ? 0 : EPERM;
    EXPECT_EQ(error, expected) << section << " " << name;
  }
  EXPECT_GE(seen["denied:"], 50);
  EXPECT_EQ(seen["allowed:"], 5);
}

TEST_F(Isolation, RefusesThemToUsersToo) {
  install("denied-calls", STRAKE_DENIED_CALLS);
  Spec step = spec({"denied-calls"});
  step.uid = 1000;
  step.gid = 1000;
  const std::string output = run(step).output;
  EXPECT_NE(output.find("unshare 1\n"), std::string::npos) << output;
  EXPECT_NE(output.find("io_uring_setup 1\n"), std::string::npos) << output;
}

TEST_F(Isolation, HidesTheKernelsFiles) {
  EXPECT_EQ(output_of("cat /proc/kcore /proc/keys /proc/timer_list 2>/dev/null | wc -c;"
                      "ls /sys/firmware | wc -l"),
            "0\n0\n");
  for (const char* path : {"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
                           "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/irq/x"})
    EXPECT_NE(run(shell(std::string("echo x > ") + path)).status.code, 0) << path;
}

TEST_F(Isolation, ShowsNoMountOfTheHost) {
  const std::string seen = output_of("cat /proc/self/mountinfo");
  std::istringstream lines(seen);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, target;
    words >> id >> parent >> device >> root >> target;
    const bool known = (target == "/" && line.find(" - overlay ") != std::string::npos) ||
                       target.starts_with("/proc") || target.starts_with("/sys") ||
                       target.starts_with("/dev") || target.starts_with("/etc/");
    EXPECT_TRUE(known) << line;
  }
}

TEST_F(Isolation, HasNothingAboveItsRoot) {
  write("canary", "");
  EXPECT_EQ(output_of("ls /.."), output_of("ls /"));
}

TEST_F(Isolation, CannotUndoItsMounts) {
  EXPECT_NE(run(shell("umount /proc/kcore")).status.code, 0);
  EXPECT_NE(run(shell("mount -t tmpfs none /bin")).status.code, 0);
  EXPECT_NE(run(shell("mount -o remount,rw /sys")).status.code, 0);
}

TEST_F(Isolation, CannotReachItsInit) {
  EXPECT_NE(run(shell("echo x > /proc/1/exe")).status.code, 0);
  EXPECT_NE(run(shell("readlink /proc/1/fd/3 || cat /proc/1/fd/3")).status.code, 0);
  EXPECT_NE(run(shell("readlink /proc/1/root")).status.code, 0);
  EXPECT_EQ(output_of("kill -KILL 1; echo alive"), "alive\n");
}

TEST_F(Isolation, AProgramOfTheImageCannotOverwriteTheBuilderThroughItsExecutable) {
  // The interpreter of the script is whatever executes it: not the builder, and not init.
  write("bin/trap", "#!/proc/self/exe\n", 0755);
  const auto before = fs::last_write_time("/proc/self/exe");
  EXPECT_NE(run(spec({"/bin/trap"})).status.code, 0);
  EXPECT_EQ(fs::last_write_time("/proc/self/exe"), before);
}

TEST_F(Isolation, ADeviceNodeInTheImageOpensNothing) {
  ASSERT_EQ(::mknod((image() / "kmsg").c_str(), S_IFCHR | 0666, makedev(1, 11)), 0);
  const Result result = run(shell("head -c 1 /kmsg"));
  EXPECT_NE(result.status.code, 0);
  EXPECT_NE(result.output.find("Permission denied"), std::string::npos) << result.output;
}

TEST_F(Isolation, SeesOnlyItsOwnProcesses) {
  EXPECT_EQ(output_of("set -- /proc/[0-9]*; echo $#"), "2\n");  // init, sh
}

TEST_F(Isolation, DiesCompletelyWithABuilderThatIsKilled) {
  const std::string before = mounts();
  for (int round = 0; round < 20; ++round) {
    const std::string mark = "98765" + std::to_string(round);
    const Spec step =
        shell("setsid sh -c 'trap \"\" TERM; sleep " + mark + "; true' & sleep " + mark + "; true");
    const pid_t builder = ::fork();
    ASSERT_GE(builder, 0);
    if (builder == 0) {
      try {
        base::StringSink sink;
        sandbox_->run(step, sink, {});
      } catch (...) {
      }
      ::_exit(0);
    }
    const auto start = std::chrono::steady_clock::now();
    const auto waited = [&] { return std::chrono::steady_clock::now() - start; };
    // Any moment of the start counts; in the even rounds the step is up.
    if (round % 2 == 0)
      while (!runs(mark) && waited() < std::chrono::seconds(10)) std::this_thread::yield();
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(round / 2));
    ::kill(builder, SIGKILL);
    ::waitpid(builder, nullptr, 0);
    const auto killed = std::chrono::steady_clock::now();
    while (runs(mark)) {
      ASSERT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(5)) << round;
      std::this_thread::yield();
    }
  }
  EXPECT_EQ(mounts(), before);
}

TEST_F(Isolation, LeavesNoDescriptorsOrMountsInTheBuilder) {
  const auto descriptors = [] {
    return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator());
  };
  output_of("true");
  const auto before = descriptors();
  const std::string mounted = mounts();
  for (int i = 0; i < 5; ++i) output_of("true");
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(mounts(), mounted);
}

TEST(SeccompProfile, NamesEachCallOnceAndFitsTheKernelsLimit) {
  std::set<std::string_view> names;
  for (const std::string_view name : denied_system_calls())
    EXPECT_TRUE(names.insert(name).second) << name;
  EXPECT_LT(seccomp_profile().size(), 4096U);
}

}  // namespace
}  // namespace strake::sandbox
