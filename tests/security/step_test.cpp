// What a hostile step, or an image, must not be able to do; on every rung.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <chrono>
#include <sstream>
#include <thread>

#include "tests/security/step_fixture.h"

namespace strake {
namespace {

namespace fs = std::filesystem;
using sandbox::BindMount;
using sandbox::Spec;
using testing::HasSubstr;
using testing::Not;

class HostileStep : public test::RungStep {
 protected:
  static std::string core_pattern() {
    return base::read_file("/proc/sys/kernel/core_pattern").value_or("");
  }
};

// Case D05: no descriptor of the builder is left to be used, and the working directory is inside.
TEST_F(HostileStep, HasNoDescriptorOfTheBuilder) {
  const base::FileDescriptor host(::open(top().c_str(), O_RDONLY | O_DIRECTORY));
  for (int fd = 3; fd < 24; ++fd) {
    Spec step = shell("pwd; ls; for f in 3 4 5 6 7 8 9 10 20 30; do ls /proc/self/fd/$f/; done");
    step.working_dir = "/proc/self/fd/" + std::to_string(fd);
    const std::string output = run(step).output;
    EXPECT_THAT(output, Not(HasSubstr("unreachable")));
    EXPECT_THAT(output, Not(HasSubstr("outside")));
  }
}

// Case D06: neither the builder's program nor init can be written by way of /proc.
TEST_F(HostileStep, CannotWriteTheProgramsThatRunIt) {
  struct ::stat before {
  }, after{};
  ASSERT_EQ(::stat("/proc/self/exe", &before), 0);
  write("bin/trap", "#!/proc/self/exe\n", 0755);
  const Result trapped = run(spec({"/bin/trap"}));
  EXPECT_FALSE(trapped.refusal.empty() && trapped.status.success());
  output_of("for p in 1 self; do echo x > /proc/$p/exe; done; cat /proc/1/exe > /stolen");
  ASSERT_EQ(::stat("/proc/self/exe", &after), 0);
  EXPECT_EQ(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
  EXPECT_EQ(before.st_size, after.st_size);
}

// Case D07: what hides files of the kernel is not the image's /dev/null.
TEST_F(HostileStep, CannotTurnMasksIntoWrites) {
  const std::string before = core_pattern();
  link("/proc/sys/kernel/core_pattern", "dev/null");
  output_of(
      "echo x > /dev/null; echo x > /proc/sys/kernel/core_pattern; cat /proc/kcore | head -c 1");
  EXPECT_EQ(core_pattern(), before);
}

// Case D08: nothing of the image's /dev is used.
// Case D10: nor is it where the image says /dev is.
TEST_F(HostileStep, HasDevicesOfItsOwn) {
  const std::string secret = (outside() / "secret").native();
  for (const char* device : {"dev/console", "dev/pts/0", "dev/ptmx", "dev/tty", "dev/stdout"})
    link(secret, device);
  run(shell("for d in console pts/0 ptmx tty stdout null; do echo evil > /dev/$d; done"));
  for (const std::string& target : {outside().native(), std::string("../../outside")}) {
    link(target, "dev");
    run(shell("echo evil > /dev/secret; echo evil > /dev/null; rm -r /dev/etc"));
    EXPECT_TRUE(fs::is_symlink(image() / "dev"));
  }
}

// Case D09: /proc is a directory of the image and the kernel's own file system, or the step is
// refused.
TEST_F(HostileStep, HasNoFalseProc) {
  write("fake/self/attr/exec", "");
  write("fake/self/status", "CapEff: ffffffffffffffff\n");
  link("/fake", "proc");
  const Result result = run(shell("cat /proc/self/status"));
  if (!on_chroot()) {
    EXPECT_THAT(result.refusal, HasSubstr("is not a directory"));
  }
}

// Case D12: the control groups of the machine cannot be changed.
// Case D13: nor can a step make a place from which they could be.
TEST_F(HostileStep, CannotChangeControlGroups) {
  const std::string output = output_of(
      "mkdir /sys/fs/cgroup/strake-evil && echo made; mkdir /cg; mount -t cgroup -o memory none "
      "/cg "
      "&& echo mounted; mount -t cgroup2 none /cg && echo mounted; for f in $(find /sys/fs/cgroup "
      "-name release_agent -o -name cgroup.procs); do echo 1 > $f && echo written; done");
  EXPECT_THAT(output, Not(HasSubstr("made\n")));
  EXPECT_THAT(output, Not(HasSubstr("mounted\n")));
  EXPECT_THAT(output, Not(HasSubstr("written\n")));
}

// Case D14: no new namespaces, file systems or other ways into the kernel's younger parts.
// Case D17: every call of the list is refused, and those that programs need are not.
TEST_F(HostileStep, IsRefusedTheSystemCallsOfTheList) {
  install("denied-calls", STRAKE_DENIED_CALLS);
  std::istringstream lines(output_of("denied-calls"));
  std::string section = "denied:";
  int refused = 0;
  for (std::string name; lines >> name;) {
    if (name.back() == ':') {
      section = name;
      continue;
    }
    int error = -1;
    lines >> error;
    const bool allowed = section.ends_with("allowed:");
    EXPECT_EQ(error, name == "clone3" ? ENOSYS : allowed ? 0 : EPERM) << section << " " << name;
    if (!allowed) ++refused;
  }
  EXPECT_GE(refused, 50);
}

// Case D15: the groups of a step are those of its user, none of the builder's.
TEST_F(HostileStep, HasTheGroupsOfItsUserOnly) {
  Spec step = shell("id -u; id -g; id -G");
  step.uid = 1000;
  step.gid = 100;
  step.groups = {44};
  const Result result = run(step);
  std::istringstream lines(result.output);
  std::string uid, gid, groups;
  std::getline(lines, uid);
  std::getline(lines, gid);
  std::getline(lines, groups);
  EXPECT_EQ(uid, "1000") << result.refusal;
  EXPECT_EQ(gid, "100");
  std::istringstream numbers(groups);
  for (int group; numbers >> group;) EXPECT_TRUE(group == 100 || group == 44) << groups;
}

// Case D16: no capability is inherited or ambient, and none goes beyond docker's.
TEST_F(HostileStep, HasNoMoreCapabilitiesThanDockers) {
  if (on_chroot()) {
    EXPECT_NE(output_of("chroot / true"), "");  // there is no /proc to read them from
    return;
  }
  std::istringstream lines(output_of("grep ^Cap /proc/self/status"));
  for (std::string name, value; lines >> name >> value;) {
    const bool none = name == "CapInh:" || name == "CapAmb:";
    EXPECT_EQ(std::stoull(value, nullptr, 16) & ~(none ? 0 : 0xa80425fbULL), 0U) << name << value;
  }
}

// Case D18: there is no terminal to put input into.
TEST_F(HostileStep, HasNoTerminal) {
  const std::string output = output_of("tty; head -c 1 < /dev/tty && echo read");
  EXPECT_THAT(output, HasSubstr("not a tty"));
  EXPECT_THAT(output, Not(HasSubstr("read\n")));
}

// Case D20: what a step leaves running is dead before anybody looks at its files.
// Case D36: so nothing changes while the changes are read.
TEST_F(HostileStep, LeavesNoDaemons) {
  const std::string mark = "76543" + std::to_string(::getpid());
  output_of(
      "cd /tmp; for i in 1 2 3 4 5 6 7 8; do setsid sh -c 'trap \"\" TERM HUP INT; (exec "
      "3>/tmp/open; sleep " +
      mark + ") & sleep " + mark + "' & done; echo done");
  EXPECT_EQ(processes(mark), 0);
}

// Case D21: a step that uses up its processes stops itself, not the builder.
TEST_F(HostileStep, ThatForksWithoutEndIsStopped) {
  const std::string mark = "76544" + std::to_string(::getpid());
  Spec step = shell("ulimit -u 40; f() { f | f & }; f; sleep 0.3; sleep " + mark + " & sleep 0.1");
  step.uid = 1000;
  run(step);
  EXPECT_EQ(processes(mark), 0);
  EXPECT_EQ(output_of("echo next"), "next\n");
}

// Case D22: every way to end is reported as what it is.
TEST_F(HostileStep, EndsAsItIsReported) {
  EXPECT_EQ(run(shell("kill -9 $$")).status.signal, SIGKILL);
  EXPECT_EQ(run(shell("kill -SEGV $$")).status.code, 139);
  for (const int code : {0, 1, 126, 127, 137, 139, 255}) {
    const sandbox::ExitStatus status = run(shell("exit " + std::to_string(code))).status;
    EXPECT_EQ(status.code, code);
    EXPECT_EQ(status.signal, 0);
  }
  EXPECT_TRUE(run(shell("sleep 100 & kill $!; exit 0")).status.success());
}

// Case D24: with the builder dies the step, whatever kills it.
TEST_F(HostileStep, DiesWithABuilderThatIsKilled) {
  const std::string mark = "76545" + std::to_string(::getpid());
  const Spec step =
      shell("setsid sh -c 'trap \"\" TERM; sleep " + mark + "; true' & sleep " + mark + "; true");
  const auto soon = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  const pid_t builder = ::fork();
  ASSERT_GE(builder, 0);
  if (builder == 0) {
    run(step);
    ::_exit(0);
  }
  while (processes("sleep\0" + mark) + processes(mark) < 3 &&
         std::chrono::steady_clock::now() < soon)
    std::this_thread::yield();
  ::kill(builder, SIGKILL);
  ::waitpid(builder, nullptr, 0);
  while (processes(mark) > 0 && std::chrono::steady_clock::now() < soon) std::this_thread::yield();
  EXPECT_EQ(processes(mark), 0);
}

// Case D25: nothing of the builder can be read, traced or stopped.
TEST_F(HostileStep, CannotReachTheBuilder) {
  install("inside", STRAKE_INSIDE);
  ::setenv("STRAKE_TEST_SECRET", "leaks-from-the-builder", 1);
  const std::string pid = std::to_string(::getpid());
  const std::string output = output_of("cat /proc/*/environ /proc/1/cmdline; kill -0 " + pid +
                                       " && echo signalled; kill -0 "
                                       "$PPID && echo parent $PPID; inside ptrace " +
                                       pid);
  ::unsetenv("STRAKE_TEST_SECRET");
  EXPECT_THAT(output, Not(HasSubstr("leaks")));
  EXPECT_THAT(output, Not(HasSubstr("signalled")));
  EXPECT_THAT(output, Not(HasSubstr("ptrace 0\n")));
}

// Case D26: chroot does not lead out of a root.
TEST_F(HostileStep, CannotEscapeByChroot) {
  install("inside", STRAKE_INSIDE);
  const std::string output = output_of("inside escape " + (outside() / "secret").native());
  EXPECT_EQ(output, on_chroot() ? "chroot 1\n" : "inside\n");
}

// Case D27: sockets of the machine are out of reach.
TEST_F(HostileStep, CannotConnectToSocketsOfTheMachine) {
  install("inside", STRAKE_INSIDE);
  const auto listen_at = [](const std::string& name) {
    base::FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(socket.get(), 1), 0);
    return socket;
  };
  const std::string path = (top() / "s").native();
  const std::string abstract = "@strake-test-" + std::to_string(::getpid());
  const base::FileDescriptor on_path = listen_at(path), in_namespace = listen_at(abstract);
  EXPECT_EQ(output_of("inside connect " + path), "connect 2\n");
  // With the network of the machine a step shares its abstract names, but for the rung that has no
  // namespaces and uses Landlock instead.
  const std::string reached = output_of("inside connect " + abstract);
  if (on_chroot()) {
    EXPECT_EQ(reached, "connect 1\n");
  }
  fs::remove(path);
}

// Case D28: a step sees the resolver file it is given; the image's own stays as it is.
// Case D29: none of the sandbox's files is left in the image.
TEST_F(HostileStep, HasItsNetworkFilesAndLeavesNone) {
  struct utsname names;
  ASSERT_EQ(::uname(&names), 0);
  const std::string name = on_chroot() ? names.nodename : "strake";
  write("outside-file", "image's");
  for (const char* target : {"../run/systemd/resolve/stub-resolv.conf", "/outside-file",
                             "../../../../../../../../outside-file"}) {
    link(target, "etc/resolv.conf");
    Spec step = shell("cat /etc/resolv.conf /etc/hostname");
    step.resolv_conf = "nameserver 192.0.2.1\n";
    EXPECT_EQ(run(step).output, "nameserver 192.0.2.1\n" + name + "\n");
    EXPECT_EQ(fs::read_symlink(image() / "etc/resolv.conf"), target);
    for (const char* left : {"etc/hostname", "etc/hosts", "run/secrets", ".dockerenv", "dev/null"})
      EXPECT_FALSE(fs::exists(fs::symlink_status(root() / left))) << left;
    if (!on_chroot()) {
      EXPECT_TRUE(fs::is_empty(root()));
    }
  }
  EXPECT_EQ(base::read_file(image() / "outside-file"), "image's");
}

// Case D30: mounts cannot be undone, changed or added.
TEST_F(HostileStep, CannotChangeMounts) {
  EXPECT_THAT(
      output_of("umount /proc/kcore /proc /sys /dev && echo done; mount -o remount,rw /sys && "
                "echo done; mount -o bind / /tmp && echo done; mount -t tmpfs none /tmp && "
                "echo done; mount -t proc none /proc && echo done"),
      Not(HasSubstr("done")));
}

// Case D31: set-uid programs work where privileges can be had at all.
TEST_F(HostileStep, ThatIsNotRootGetsRightsBySetUidOnly) {
  install("inside", STRAKE_INSIDE, 04755);
  Spec step = spec({"inside", "euid"});
  step.uid = step.gid = 1000;
  const Result result = run(step);
  const bool may_be_off = on_chroot() || test::rung() == sandbox::Isolation::user_one;
  EXPECT_TRUE(result.output == "euid 0\n" || (may_be_off && result.output == "euid 1000\n"))
      << result.output << result.refusal;
}

// Case D34: files of the machine that a step sees are never changed for it: no labels, no modes.
TEST_F(HostileStep, SeesFilesOfTheMachineAsTheyAre) {
  const base::FileDescriptor source(::open(outside().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Spec step =
      shell("cat /mnt/secret; chmod 777 /mnt/secret; echo evil > /mnt/secret; rm /mnt/link");
  step.mounts = {BindMount{source.get(), "/mnt", true}};
  const Result result = run(step);
  if (result.refusal.empty()) {
    EXPECT_THAT(result.output, HasSubstr("the canary's secret"));
  }
}

// Case D37: a device node that a step makes, or finds in its image, opens nothing. (With one id it
// is an empty file, of which only the layer says that it is a device.)
TEST_F(HostileStep, CannotOpenDevices) {
  if (test::rung() == sandbox::Isolation::root) {
    ASSERT_EQ(::mknod((image() / "log").c_str(), S_IFCHR | 0666, ::makedev(1, 11)), 0);
  }
  const std::string output = output_of(
      "try() { head -c 1 $1 | grep -q . && echo read; }; try /log; for d in / /dev "
      "/dev/shm /tmp; do mknod $d/k c 1 11; mknod $d/b b 254 0; try $d/k; try $d/b; done");
  EXPECT_THAT(output, Not(HasSubstr("read\n")));
}

}  // namespace
}  // namespace strake
