// Steps on the rung without mounts and namespaces.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "builder/sandbox/chroot_sandbox.h"
#include "builder/sandbox/landlock.h"
#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"
#include "tests/sandbox/step_fixture.h"

namespace strake::sandbox {
namespace {

/// Steps in a plain directory. The directory around it is ours alone.
class ChrootStep : public StepTest {
 protected:
  void SetUp() override {
    StepTest::SetUp();
    if (IsSkipped()) return;
    make_usual_directories();
    chroot_ = std::make_unique<ChrootSandbox>(std::chrono::milliseconds(300));
    root_.emplace(base::RootedDirectory::open_host(image().native()));
  }

  Spec in_chroot(const std::string& script) {
    Spec spec;
    spec.rootfs_fd = root_->fd();
    spec.argv = {"/bin/sh", "-c", script};
    spec.env = {kPath};
    return spec;
  }
  Result run_in_chroot(const Spec& spec, std::stop_token stop = {}) {
    base::StringSink output;
    Result result;
    result.status = chroot_->run(spec, output, stop);
    result.output = std::move(output.text);
    return result;
  }
  std::string output_in_chroot(const Spec& spec) {
    const Result result = run_in_chroot(spec);
    EXPECT_EQ(result.status.code, 0) << result.output << result.status.explanation;
    return result.output;
  }
  /// Every path of the image with what a step could change, sorted.
  std::string everything() const {
    std::set<std::string> lines;
    for (const auto& entry : fs::recursive_directory_iterator(image())) {
      struct ::stat status;
      ::lstat(entry.path().c_str(), &status);
      lines.insert(entry.path().lexically_relative(image()).native() + " " +
                   std::to_string(status.st_ino) + " " + std::to_string(status.st_mode) + " " +
                   std::to_string(status.st_uid) + " " + std::to_string(status.st_mtim.tv_sec) +
                   "." + std::to_string(status.st_mtim.tv_nsec) + " " +
                   std::to_string(status.st_size));
    }
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    return text;
  }
  std::string refusal_of(const Spec& spec) {
    try {
      run_in_chroot(spec);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ErrorCode::unsupported);
      return error.what();
    }
    return "";
  }

  std::unique_ptr<ChrootSandbox> chroot_;
  std::optional<base::RootedDirectory> root_;
};

TEST_F(ChrootStep, ExitCodesAndExplanationsAreThoseOfEveryRung) {
  EXPECT_EQ(run_in_chroot(in_chroot("exit 7")).status.code, 7);
  EXPECT_EQ(run_in_chroot(in_chroot("kill -9 $$")).status.signal, SIGKILL);
  Spec missing = in_chroot("");
  missing.argv = {"nonsense"};
  const ExitStatus status = run_in_chroot(missing).status;
  EXPECT_EQ(status.code, 127);
  EXPECT_EQ(status.explanation, "command \"nonsense\" not found in the image");
}

/// The step's too: there is no namespace for another one.
std::string host_name() {
  struct utsname names;
  EXPECT_EQ(::uname(&names), 0);
  return names.nodename;
}

TEST_F(ChrootStep, LeavesNothingBehind) {
  write("etc/hosts", "the image's own");
  fs::create_symlink("../run/resolv", image() / "etc/resolv.conf");
  const std::string before = everything();
  EXPECT_EQ(
      output_in_chroot(in_chroot("cat /etc/hosts | head -1; echo x >/dev/null; ls -d /dev/shm; "
                                 "touch /dev/mine /proc/mine /sys/mine")),
      "127.0.0.1\tlocalhost " + host_name() + "\n/dev/shm\n");
  EXPECT_EQ(everything(), before);
  EXPECT_FALSE(fs::exists(temporary() / "aside-0"));
}

TEST_F(ChrootStep, WhatTheStepWritesToNetworkFilesStays) {
  output_in_chroot(in_chroot("echo mine >/etc/hosts"));
  std::ifstream hosts(image() / "etc/hosts");
  std::string line;
  std::getline(hosts, line);
  EXPECT_EQ(line, "mine");
}

TEST_F(ChrootStep, TheTimeOfADirectoryIsTheStepsOwn) {
  output_in_chroot(in_chroot("touch /etc/new; touch -d @1000000000 /etc"));
  struct ::stat status;
  ASSERT_EQ(::lstat((image() / "etc").c_str(), &status), 0);
  EXPECT_EQ(status.st_mtim.tv_sec, 1000000000);
}

TEST_F(ChrootStep, HasNoCapabilityThatLeadsOut) {
  install("denied", STRAKE_DENIED_CALLS);
  // CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE AUDIT_WRITE
  // SETFCAP
  Spec spec = in_chroot("");
  spec.argv = {"/bin/denied"};
  const std::string output = output_in_chroot(spec);
  EXPECT_NE(output.find("mount 1\n"), std::string::npos) << output;
  EXPECT_NE(output.find("unshare 1\n"), std::string::npos);
  const Result escape = run_in_chroot(in_chroot("mkdir /x && chroot /x /bin/true"));
  EXPECT_NE(escape.status.code, 0);
  EXPECT_NE(run_in_chroot(in_chroot("mknod /node c 1 3")).status.code, 0);
}

TEST_F(ChrootStep, EverythingItLeavesRunningIsDeadAfterIt) {
  output_in_chroot(
      in_chroot("for i in 1 2 3 4 5; do setsid sh -c 'trap \"\" TERM; sleep 1000' "
                "</dev/null >/dev/null 2>&1 & done; sleep 0.2"));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);  // nor is anything left to this process
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::error_code error;
    EXPECT_NE(fs::read_symlink(entry.path() / "root", error), image()) << entry.path();
  }
}

TEST_F(ChrootStep, IsKilledWhenItDoesNotEndByItself) {
  std::stop_source stop;
  std::thread later([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    stop.request_stop();
  });
  const auto started = std::chrono::steady_clock::now();
  try {
    run_in_chroot(in_chroot("trap '' TERM; setsid sleep 1000 & sleep 1000"), stop.get_token());
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::cancelled);
  }
  later.join();
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));
}

TEST_F(ChrootStep, DiesWithTheBuilder) {
  const pid_t builder = ::fork();
  if (builder == 0) {
    try {
      run_in_chroot(in_chroot("setsid sleep 1001 & sleep 1001"));
    } catch (const base::Error&) {
    }
    ::_exit(0);
  }
  const auto sleepers = [] {
    int count = 0;
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline");
      std::string line;
      std::getline(file, line);
      if (line.find(std::string("sleep\0001001", 10)) != std::string::npos) ++count;
    }
    return count;
  };
  for (int i = 0; i < 100 && sleepers() < 2; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(sleepers(), 2);
  ::kill(builder, SIGKILL);
  ::waitpid(builder, nullptr, 0);
  for (int i = 0; i < 100 && sleepers() > 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(sleepers(), 0);
}

TEST_F(ChrootStep, SecretsAreReadAnyNumberOfTimesAndNeverAFile) {
  Spec spec = in_chroot(
      "cat /run/secrets/s /run/secrets/s; test -p /run/secrets/s && stat -c %u:%a /run/secrets/s");
  spec.mounts.push_back(
      InlineFile{.target = "/run/secrets/s", .content = "hidden\n", .mode = 0440, .uid = 3});
  EXPECT_EQ(output_in_chroot(spec), "hidden\nhidden\n3:440\n");
  EXPECT_FALSE(fs::exists(image() / "run/secrets"));
  // One that nobody reads.
  spec.argv = {"/bin/true"};
  EXPECT_EQ(run_in_chroot(spec).status.code, 0);
}

TEST_F(ChrootStep, ScriptsAreFilesThatCanBeExecuted) {
  Spec spec = in_chroot("/dev/pipes/script");
  spec.mounts.push_back(InlineFile{.target = "/dev/pipes/script",
                                   .content = "#!/bin/sh\necho ran\n",
                                   .mode = 0755,
                                   .secret = false});
  EXPECT_EQ(output_in_chroot(spec), "ran\n");
}

TEST_F(ChrootStep, SourcesAreMovedInAndBack) {
  fs::create_directories(temporary() / "cache");
  std::ofstream(temporary() / "cache/old") << "old";
  write("cache/of-the-image", "x");
  const base::RootedDirectory source =
      base::RootedDirectory::open_host((temporary() / "cache").native());
  Spec spec = in_chroot("cat /cache/old; echo new >/cache/new; ls /cache");
  spec.mounts.push_back(BindMount{.source_fd = source.fd(), .target = "/cache", .movable = true});
  EXPECT_EQ(output_in_chroot(spec), "oldnew\nold\n");
  EXPECT_TRUE(fs::exists(temporary() / "cache/new"));
  EXPECT_TRUE(fs::exists(image() / "cache/of-the-image"));
  EXPECT_FALSE(fs::exists(image() / "cache/new"));

  spec.argv = {"/bin/sh", "-c", "exit 1"};  // also after failure
  EXPECT_EQ(run_in_chroot(spec).status.code, 1);
  EXPECT_TRUE(fs::exists(temporary() / "cache/new"));
}

TEST_F(ChrootStep, MountsLieInsideOfMounts) {
  fs::create_directories(temporary() / "outer");
  const base::RootedDirectory source =
      base::RootedDirectory::open_host((temporary() / "outer").native());
  Spec spec = in_chroot("ls -d /m/inner && touch /m/inner/x");
  spec.mounts.push_back(BindMount{.source_fd = source.fd(), .target = "/m", .movable = true});
  spec.mounts.push_back(TmpfsMount{.target = "/m/inner"});
  EXPECT_EQ(output_in_chroot(spec), "/m/inner\n");
  EXPECT_TRUE(fs::is_empty(temporary() / "outer"));
  EXPECT_FALSE(fs::exists(image() / "m"));
}

TEST_F(ChrootStep, SocketsAreReachableInside) {
  const fs::path path = temporary() / "socket";
  const base::FileDescriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.native().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  const base::FileDescriptor socket(::open(path.c_str(), O_PATH | O_CLOEXEC));
  Spec spec = in_chroot("test -S /run/agent");
  spec.mounts.push_back(
      BindMount{.source_fd = socket.get(), .target = "/run/agent", .movable = true});
  EXPECT_EQ(run_in_chroot(spec).status.code, 0);
  EXPECT_TRUE(fs::is_socket(path));
}

TEST_F(ChrootStep, RefusesWhatNeedsMounts) {
  Spec spec = in_chroot("true");
  spec.network = Network::none;
  EXPECT_NE(refusal_of(spec).find("network"), std::string::npos);
  spec = in_chroot("true");
  spec.insecure = true;
  EXPECT_NE(refusal_of(spec).find("insecure"), std::string::npos);
  spec = in_chroot("true");
  const base::FileDescriptor null(::open("/dev/null", O_PATH | O_CLOEXEC));
  spec.mounts.push_back(DeviceNode{.source_fd = null.get(), .target = "/dev/x"});
  EXPECT_NE(refusal_of(spec).find("device \"/dev/x\""), std::string::npos);
  spec = in_chroot("true");
  spec.mounts.push_back(BindMount{.source_fd = root_->fd(), .target = "/host"});
  EXPECT_NE(refusal_of(spec).find("/host"), std::string::npos);
}

TEST_F(ChrootStep, TellsWhichDirectoriesItTouched) {
  const ExitStatus status = run_in_chroot(in_chroot("true")).status;
  EXPECT_NE(std::find(status.touched.begin(), status.touched.end(), "/etc"), status.touched.end());
}

TEST_F(ChrootStep, FilesOutsideOfTheRootAreBehindLandlockToo) {
  if (landlock_version() == 0) GTEST_SKIP() << "the kernel has no Landlock";
  // A directory from before the change of the root is the way out of a chroot.
  const pid_t child = ::fork();
  if (child == 0) {
    const base::FileDescriptor ruleset = landlock_ruleset(root_->fd());
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) ::_exit(2);
    const bool inside = ::access((image() / "bin/busybox").c_str(), F_OK) == 0;
    const int outside = ::open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    ::_exit(inside && outside < 0 && errno == EACCES ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace strake::sandbox
