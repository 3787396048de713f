// What a step sees and how it ends.

#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "layers/base/error.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using testing::Test;

class Step : public StepTest {};

TEST_F(Step, RunsACommandAndPassesItsOutputOnInOrder) {
  const Result result = run(shell("echo one; echo two >&2; echo three"));
  EXPECT_TRUE(result.status.success());
  EXPECT_EQ(result.output, "one\ntwo\nthree\n");
}

TEST_F(Step, ReportsTheExitCode) {
  EXPECT_EQ(run(shell("exit 42")).status.code, 42);
  EXPECT_EQ(run(spec({"false"})).status.code, 1);
}

TEST_F(Step, ReportsTheSignalThatEndedTheCommand) {
  const ExitStatus status = run(shell("kill -TERM $$")).status;
  EXPECT_EQ(status.signal, SIGTERM);
  EXPECT_EQ(status.code, 128 + SIGTERM);
  EXPECT_FALSE(status.oom_killed);
}

TEST_F(Step, LooksTheCommandUpInThePathOfTheImage) {
  write("opt/tools/greet", "#!/bin/sh\necho hello\n", 0755);
  Spec greet = spec({"greet"});
  greet.env = {"PATH=/nowhere:/opt/tools:/bin"};
  EXPECT_EQ(run(greet).output, "hello\n");
}

TEST_F(Step, SaysThatACommandIsNotInTheImage) {
  const ExitStatus status = run(spec({"mak"})).status;
  EXPECT_EQ(status.code, 127);
  EXPECT_EQ(status.explanation, "command \"mak\" not found in the image");
}

TEST_F(Step, SaysThatACommandMayNotBeExecuted) {
  write("opt/plain", "text", 0644);
  const ExitStatus status = run(spec({"/opt/plain"})).status;
  EXPECT_EQ(status.code, 126);
  EXPECT_EQ(status.explanation, "cannot execute \"/opt/plain\": permission denied");
}

TEST_F(Step, TellsAMissingInterpreterFromAMissingCommand) {
  write("opt/script", "#!/usr/bin/perl\n", 0755);
  const ExitStatus status = run(spec({"/opt/script"})).status;
  EXPECT_EQ(status.code, 127);
  EXPECT_NE(status.explanation.find("interpreter"), std::string::npos) << status.explanation;
}

TEST_F(Step, SaysThatAProgramIsForAnotherPlatform) {
  write("opt/garbage", "\x01\x02\x03", 0755);
  const ExitStatus status = run(spec({"/opt/garbage"})).status;
  EXPECT_EQ(status.code, 126);
  EXPECT_NE(status.explanation.find("not a program for this platform"), std::string::npos);
}

TEST_F(Step, HasExactlyTheEnvironmentOfItsSpec) {
  ::setenv("STRAKE_TEST_SECRET", "leaks", 1);
  Spec env = spec({"env"});
  env.env = {kPath, "A=b c"};
  EXPECT_EQ(run(env).output, "PATH=/usr/bin:/bin\nA=b c\n");
  EXPECT_EQ(output_of("cat /proc/1/environ 2>/dev/null | wc -c"), "0\n");
  ::unsetenv("STRAKE_TEST_SECRET");
}

TEST_F(Step, HasOnlyTheThreeStandardDescriptors) {
  // Not close-on-exec on purpose: what a caller of the builder leaked into it.
  const int leaked = ::open("/", O_RDONLY | O_DIRECTORY);
  const std::string listed = output_of("ls /proc/self/fd; readlink /proc/self/fd/0");
  ::close(leaked);
  EXPECT_EQ(listed, "0\n1\n2\n3\n/dev/null\n");  // 3 is the directory that ls reads
}

TEST_F(Step, ReadsStandardInputFromTheGivenDescriptor) {
  const base::Pipe pipe = base::make_pipe();
  base::write_full(pipe.write_end.get(), base::bytes_of("from stdin"), "pipe");
  Spec cat = spec({"head", "-c", "10"});
  cat.stdin_fd = pipe.read_end.get();
  EXPECT_EQ(run(cat).output, "from stdin");
}

// Rule 56: a missing working directory is made for the user of the RUN.
TEST_F(Step, MakesAMissingWorkingDirectoryForItsUser) {
  Spec pwd = shell("pwd; stat -c '%U %a %u:%g' . || stat -c '%a %u:%g' .");
  pwd.working_dir = "/srv/app";
  pwd.uid = 1000;
  pwd.gid = 1001;
  const Result result = run(pwd);
  EXPECT_EQ(result.output.substr(0, 9), "/srv/app\n");
  EXPECT_NE(result.output.find("755 1000:1001"), std::string::npos) << result.output;
  EXPECT_EQ(changes(), (std::set<std::string>{"srv", "srv/app"}));
}

TEST_F(Step, EntersAWorkingDirectoryThroughASymlinkOfTheImage) {
  fs::create_directories(image() / "real");
  fs::create_symlink("/real", image() / "link");
  Spec pwd = shell("/bin/busybox readlink -f .");
  pwd.working_dir = "/link/below";
  EXPECT_EQ(run(pwd).output, "/real/below\n");
}

TEST_F(Step, CannotBePutIntoADescriptorOfTheBuilder) {
  const base::FileDescriptor host(::open("/", O_RDONLY | O_DIRECTORY));
  for (int fd = 3; fd < 64; ++fd) {
    Spec pwd = shell("pwd; ls");
    pwd.working_dir = "/proc/self/fd/" + std::to_string(fd);
    try {
      const Result result = run(pwd);
      EXPECT_EQ(result.output.find("unreachable"), std::string::npos);
      EXPECT_EQ(result.output.find("home"), std::string::npos) << result.output;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("working directory"), std::string::npos);
    }
  }
}

// Rule 57: a RUN has the groups of its user.
TEST_F(Step, HasItsGroupsAndNotTheBuilders) {
  Spec id = shell("id -u; id -g; grep Groups /proc/self/status");
  id.uid = 1000;
  id.gid = 100;
  id.groups = {44, 34};
  const std::string output = run(id).output;
  EXPECT_EQ(output.substr(0, 9), "1000\n100\n");
  EXPECT_NE(output.find("34 44 100"), std::string::npos) << output;
}

TEST_F(Step, HasDockersCapabilitiesAsRootAndNoneAsAUser) {
  const std::string root = output_of("grep Cap /proc/self/status");
  EXPECT_EQ(root,
            "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n"
            "CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n");
  Spec user = shell("grep -E 'CapPrm|CapEff|CapBnd|NoNewPrivs' /proc/self/status");
  user.uid = 1000;
  EXPECT_EQ(run(user).output,
            "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n"
            "NoNewPrivs:\t0\n");
}

TEST_F(Step, HasItsOwnHostNameProcessesAndLimits) {
  Spec step = shell("hostname; cat /etc/hostname; echo $$; umask; ulimit -c; ulimit -Sn");
  step.hostname = "builder";
  EXPECT_EQ(run(step).output, "builder\nbuilder\n2\n0022\n0\n1024\n");
}

TEST_F(Step, TakesUlimits) {
  Spec step = shell("ulimit -Sn; ulimit -Hn; ulimit -Sc");
  step.ulimits = {{"nofile", 77, 99}};
  EXPECT_EQ(run(step).output, "77\n99\n0\n");
  step = shell("true");
  step.ulimits = {{"nofiles", 1, 1}};
  EXPECT_THROW(run(step), Error);
}

TEST_F(Step, HasTheDevicesOfItsSpecUnderTheirNames) {
  const base::FileDescriptor zero(::open("/dev/zero", O_PATH));
  Spec step = shell(
      "head -c 5 /dev/strake-zero | wc -c; echo x >/opt/deep/zero && echo written;"
      "chmod 600 /dev/strake-zero 2>&1 | grep -c 'Read-only'; cat /dev/zero | head -c 1 | wc -c");
  step.mounts = {DeviceNode{zero.get(), "/dev/strake-zero"},
                 DeviceNode{zero.get(), "/opt/deep/zero"}};
  EXPECT_EQ(run(step).output, "5\nwritten\n1\n1\n");
  EXPECT_EQ(changes(), std::set<std::string>{});  // nothing of it stays in the image
}

TEST_F(Step, GetsADeviceNodeOfItsOwnForAnotherOwnerOrMode) {
  const base::FileDescriptor zero(::open("/dev/zero", O_PATH));
  Spec step = shell(
      "stat -c '%a %u:%g %t:%T' /dev/mine; head -c 3 /dev/mine | wc -c;"
      "head -c 1 /dev/roots 2>&1 | grep -c denied; chmod 777 /dev/mine 2>&1 | grep -c Read-only");
  step.uid = 1000;
  step.gid = 1001;
  step.mounts = {DeviceNode{zero.get(), "/dev/mine", 0600, 1000, 1001},
                 DeviceNode{zero.get(), "/dev/roots", 0600}};
  EXPECT_EQ(run(step).output, "600 1000:1001 1:5\n3\n1\n1\n");
  struct ::stat host;
  ASSERT_EQ(::stat("/dev/zero", &host), 0);
  EXPECT_EQ(host.st_mode & 07777, 0666U);
}

TEST_F(Step, RefusesADeviceThatIsNone) {
  const base::FileDescriptor file(::open("/etc/passwd", O_PATH));
  Spec step = shell("true");
  step.mounts = {DeviceNode{file.get(), "/dev/passwd"}};
  try {
    run(step);
    ADD_FAILURE() << "it ran";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "what is to be \"/dev/passwd\" in the step is not a device of this machine");
  }
}

TEST_F(Step, WithoutANetworkHasOnlyLoopback) {
  Spec step = shell("ls /sys/class/net; ip addr show lo; cat /etc/resolv.conf");
  step.network = Network::none;
  const std::string output = run(step).output;
  EXPECT_EQ(output.substr(0, 3), "lo\n");
  EXPECT_NE(output.find("127.0.0.1/8"), std::string::npos) << output;
  EXPECT_EQ(output.find("nameserver"), std::string::npos) << output;
}

TEST_F(Step, SeesTheHostsResolverAndTheGivenHosts) {
  Spec step = shell("cat /etc/resolv.conf; cat /etc/hosts");
  step.extra_hosts = {{"db", "10.0.0.7"}};
  const std::string output = run(step).output;
  EXPECT_TRUE(output.starts_with(base::read_file("/etc/resolv.conf").value_or("")));
  EXPECT_NE(output.find("127.0.0.1\tlocalhost strake\n"), std::string::npos) << output;
  EXPECT_NE(output.find("10.0.0.7\tdb\n"), std::string::npos) << output;
}

TEST_F(Step, HasWorkingDevicesOfItsOwn) {
  EXPECT_EQ(output_of("echo x > /dev/null && head -c 3 /dev/zero | wc -c && "
                      "head -c 3 /dev/urandom | wc -c && ls /dev"),
            "3\n3\nfd\nfull\nmqueue\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\n"
            "urandom\nzero\n");
  EXPECT_EQ(output_of("echo to stderr > /dev/stderr; echo x > /dev/shm/y; cat /dev/shm/y"),
            "to stderr\nx\n");
}

TEST_F(Step, CannotChangeTheHostsDeviceNodes) {
  struct ::stat before, after;
  ASSERT_EQ(::stat("/dev/null", &before), 0);
  EXPECT_NE(run(shell("chmod 600 /dev/null")).status.code, 0);
  EXPECT_NE(run(shell("chown 5 /dev/null")).status.code, 0);
  ASSERT_EQ(::stat("/dev/null", &after), 0);
  EXPECT_EQ(before.st_mode, after.st_mode);
  EXPECT_EQ(before.st_uid, after.st_uid);
}

TEST_F(Step, HasNoTerminal) {
  EXPECT_EQ(run(shell("tty; cat < /dev/tty")).status.code, 1);
}

TEST_F(Step, PassesFiftyMegabytesOfOutputIntact) {
  base::HashingSink counted;
  const ExitStatus status =
      sandbox_->run(shell("yes 0123456789abcde | head -c 52428800"), counted, {});
  EXPECT_TRUE(status.success());
  EXPECT_EQ(counted.size_bytes(), 52428800U);
  base::Sha256 want;
  for (int line = 0; line < 52428800 / 16; ++line) want.update("0123456789abcde\n");
  EXPECT_EQ(counted.finish(), want.finish());
}

struct FailingSink final : base::ByteSink {
  void write(std::span<const std::byte>) override { throw Error(ErrorCode::system, "disk full"); }
};

TEST_F(Step, DiesWithItsSink) {
  FailingSink sink;
  EXPECT_THROW(sandbox_->run(shell("echo x; sleep 100"), sink, {}), Error);
  EXPECT_TRUE(changes().empty());
}

TEST_F(Step, LeavesNoProcessBehind) {
  const auto start = std::chrono::steady_clock::now();
  // A duration of our own: other tests run at the same time.
  const std::string duration = "1234567." + std::to_string(::getpid());
  const Result result = run(shell("for i in 1 2 3 4 5; do setsid sh -c 'trap \"\" TERM; sleep " +
                                  duration + "' & done; echo done"));
  EXPECT_EQ(result.output, "done\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  for (const auto& process : fs::directory_iterator("/proc")) {
    const auto command = base::read_file(process.path() / "cmdline");
    EXPECT_FALSE(command && command->find(duration) != std::string::npos);
  }
}

TEST_F(Step, IsStoppedPolitelyFirst) {
  std::stop_source stop;
  const Spec spec = shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
  std::string seen;
  struct Sink final : base::ByteSink {
    explicit Sink(std::stop_source& source, std::string& text) : stop(source), seen(text) {}
    void write(std::span<const std::byte> bytes) override {
      seen += base::text_of(bytes);
      stop.request_stop();
    }
    std::stop_source& stop;
    std::string& seen;
  } sink(stop, seen);
  try {
    sandbox_->run(spec, sink, stop.get_token());
    FAIL() << "not cancelled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
  EXPECT_TRUE(seen.starts_with("ready\n")) << seen;
  EXPECT_TRUE(seen.ends_with("bye\n")) << seen;
}

TEST_F(Step, IsKilledWhenItDoesNotStop) {
  sandbox_ = std::make_unique<RootSandbox>(std::chrono::milliseconds(200));
  std::stop_source stop;
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop.request_stop();
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(run(shell("trap '' TERM; while :; do sleep 1; done"), stop.get_token()), Error);
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_GE(took, std::chrono::milliseconds(400));
  EXPECT_LT(took, std::chrono::seconds(3));
}

TEST_F(Step, IsKilledAtOnceOnASecondRequest) {
  std::stop_source stop;
  const std::jthread stopper([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop.request_stop();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    sandbox_->kill_now();
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THROW(run(shell("trap '' TERM; while :; do sleep 1; done"), stop.get_token()), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

TEST_F(Step, CannotStopItself) {
  // A TERM of its own to process 1 is not the builder's.
  EXPECT_EQ(output_of("kill -TERM 1; sleep 0.1; echo alive"), "alive\n");
}

TEST_F(Step, RunsBesideOthersOnTheSameSandbox) {
  std::array<std::string, 8> outputs;
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round) {
        const std::string name = "parallel" + std::to_string(i) + "-" + std::to_string(round);
        const test::OverlayMount root(image(), temporary() / name);
        Spec step;
        step.rootfs_fd = root.fd();
        step.argv = {"/bin/sh", "-c", "echo " + std::to_string(i)};
        step.env = {kPath};
        base::StringSink sink;
        sandbox_->run(step, sink, {});
        outputs[i] += sink.text;
      }
    });
  }
  threads.clear();
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string line = std::to_string(i) + "\n";
    EXPECT_EQ(outputs[i], line + line + line + line + line);
  }
}

}  // namespace
}  // namespace strake::sandbox
