#include "builder/sandbox/user_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "builder/sandbox/mount.h"
#include "layers/base/error.h"
#include "layers/base/files.h"

extern char** environ;

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

Error refused(const std::string& what, int error) {
  return Error(ErrorCode::unsupported, what + ": " + ::strerrordesc_np(error))
      .hint(user_namespace_knob(error));
}

/// What the child has tried: 0 or an errno, and which call it was.
struct Report {
  enum Call : int { isolate_mounts, make_file_system, none };
  int error = 0;
  Call call = none;
};

/// In a copy of the builder, which has one thread; system calls only all the same.
Report try_mounts() noexcept {
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return {errno, Report::isolate_mounts};
  // Kernels without the calls for detached mounts are no reason to give up the namespace.
  const int tmpfs = sys_make_filesystem("tmpfs", kNoDevices);
  if (tmpfs < 0 && tmpfs != -ENOSYS) return {-tmpfs, Report::make_file_system};
  return {};
}

[[noreturn]] void hold_namespace(int release, int report, int builder_end) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Ours, so that the end of the builder is the end of the pipe.
  ::close(builder_end);
  char byte;
  if (::read(release, &byte, 1) != 1) ::_exit(1);
  const Report result = try_mounts();
  if (::write(report, &result, sizeof result) != sizeof result) ::_exit(1);
  // Until the builder closes its end, or kills us.
  while (::read(release, &byte, 1) < 0 && errno == EINTR) {
  }
  ::_exit(0);
}

ChildProcess start_holder(const base::Pipe& release, const base::Pipe& report) {
  int pidfd = -1;
  // Without CLONE_VM and with no stack given this is fork, plus the namespace.
  const auto pid = static_cast<pid_t>(
      ::syscall(SYS_clone, static_cast<unsigned long>(CLONE_NEWUSER | CLONE_PIDFD) | SIGCHLD,
                nullptr, &pidfd, nullptr, nullptr));
  if (pid < 0) throw refused("cannot make a user namespace", errno);
  if (pid == 0)
    hold_namespace(release.read_end.get(), report.write_end.get(), release.write_end.get());
  return ChildProcess(pid, FileDescriptor(pidfd));
}

void write_proc_file(pid_t pid, const char* name, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const auto size = static_cast<ssize_t>(text.size());
  if (!file || ::write(file.get(), text.data(), text.size()) != size)
    throw refused("cannot give ids to a user namespace (" + std::string(name) + ")", errno);
}

/// newuidmap and newgidmap, started together: each takes as long as a process takes to start.
class MapProgram {
 public:
  MapProgram(const std::string& program, pid_t target, const IdMap& map) : program_(program) {
    std::vector<std::string> words{program, std::to_string(target)};
    for (const IdExtent& extent : map)
      for (const std::uint32_t number : {extent.inside, extent.outside, extent.count})
        words.push_back(std::to_string(number));
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);

    errors_ = FileDescriptor(::memfd_create("strake-errors", MFD_CLOEXEC));
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    if (errors_) ::posix_spawn_file_actions_adddup2(&actions, errors_.get(), STDERR_FILENO);
    const int error =
        ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) pid_ = -1;
  }
  ~MapProgram() { wait(); }
  MapProgram(const MapProgram&) = delete;
  MapProgram& operator=(const MapProgram&) = delete;

  void finish() {
    if (wait() == 0) return;
    const std::string name = std::filesystem::path(program_).filename();
    throw Error(ErrorCode::unsupported, "cannot give a range of ids to a user namespace: " +
                                            (said().empty() ? name + " failed" : said()))
        .hint(::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
                  ? name + " needs a process that may gain privileges (no_new_privs is set)"
                  : "check /etc/subuid and /etc/subgid, and that " + name + " is setuid root");
  }

 private:
  int wait() noexcept {
    if (pid_ <= 0) return status_;
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status_;
  }
  std::string said() const {
    if (!errors_ || ::lseek(errors_.get(), 0, SEEK_SET) != 0) return "";
    std::string text = base::read_all(errors_.get(), 4096, program_);
    return text.substr(0, text.find('\n'));
  }

  std::string program_;
  FileDescriptor errors_;
  pid_t pid_ = -1;
  int status_ = -1;
};

void write_maps(pid_t target, const NamespaceMaps& maps) {
  if (maps.writer == NamespaceMaps::Writer::newidmap) {
    MapProgram users(maps.newuidmap, target, maps.users);
    MapProgram groups(maps.newgidmap, target, maps.groups);
    users.finish();
    groups.finish();
    return;
  }
  if (maps.give_up_setgroups) write_proc_file(target, "setgroups", "deny");
  write_proc_file(target, "uid_map", to_text(maps.users));
  write_proc_file(target, "gid_map", to_text(maps.groups));
}

}  // namespace

UserNamespace::UserNamespace(const NamespaceMaps& maps) : child_(start_holder(release_, report_)) {
  release_.read_end.reset();
  report_.write_end.reset();
  write_maps(child_.pid(), maps);
  base::write_full(release_.write_end.get(), base::bytes_of("!"), "pipe");
  Report report;
  const auto bytes = std::as_writable_bytes(std::span(&report, 1));
  if (base::read_full(report_.read_end.get(), bytes, "pipe") != bytes.size())
    throw Error(ErrorCode::unsupported, "cannot use a user namespace: its process died");
  if (report.error == 0) return;
  const bool mounts = report.call == Report::isolate_mounts;
  throw refused(mounts ? "cannot make a mount namespace in a user namespace"
                       : "cannot make a file system in a user namespace",
                report.error);
}

void UserNamespace::enter() {
  const std::string path = "/proc/" + std::to_string(child_.pid()) + "/ns/user";
  const FileDescriptor ours(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!ours) throw base::system_error(errno, "open", path);
  // A filter may refuse this and nothing else; nothing has changed yet.
  if (::setns(ours.get(), CLONE_NEWUSER) != 0)
    throw refused("cannot enter a user namespace", errno);
  // One of our own rather than the child's: our root and working directory come along.
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    throw base::system_error(errno, "make", "mount namespace");
  forget_own_maps();
}

std::string user_namespace_knob(int error) {
  const auto setting = [](const char* name) {
    const std::string text = base::read_file(std::string("/proc/sys/") + name).value_or("");
    return text.substr(0, text.find('\n'));
  };
  if (setting("user/max_user_namespaces") == "0")
    return "raise the limit: sysctl user.max_user_namespaces=15000";
  if (setting("kernel/unprivileged_userns_clone") == "0")
    return "allow them: sysctl kernel.unprivileged_userns_clone=1";
  if (setting("kernel/apparmor_restrict_unprivileged_userns") == "1")
    return "allow them: sysctl kernel.apparmor_restrict_unprivileged_userns=0";
  if (error == ENOSPC) return "raise the limits in /proc/sys/user/max_*_namespaces";
  if (error == ENOSYS || error == EINVAL) return "use a kernel with CONFIG_USER_NS";
  // SECCOMP_MODE_FILTER; a process with a filter may always ask.
  if (::prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2)
    return "use a seccomp profile that allows unshare, clone with new namespaces, and mount";
  return "allow user namespaces, or run as root";
}

}  // namespace strake::sandbox
