// How a step gets a network of its own that leads outside: pasta or slirp4netns opens a tap device
// in the step's network namespace and does with ordinary sockets of the host what comes out of it.
//
// The program changes its ids and capabilities, and then no longer gets the signal that tells of
// its parent's death. So it runs in a pid namespace of its own, under a process of ours that does
// get it: when that one dies, the kernel kills everything in the namespace.

#include "builder/sandbox/outward_network.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "layers/base/error.h"
#include "layers/base/fd.h"

// Sanitizers keep state about threads that a copy of one thread of many must not touch.
#define STRAKE_AFTER_CLONE __attribute__((no_sanitize("address", "thread", "undefined")))

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

constexpr const char* kTunnelDevice = "/dev/net/tun";
constexpr int kReadyTimeout = 20'000;  // milliseconds
constexpr std::string_view kUsualPath =
    "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// Descriptors of the program: the namespace as 0, messages, and where it says that it is ready:
/// pasta writes its pid there, slirp4netns a "1". What is above of 2, newer versions of pasta
/// close.
constexpr int kDescriptors = 4;
using Descriptors = std::array<int, kDescriptors>;

struct GuardPlan {
  const char* path;
  char* const* arguments;
  Descriptors descriptors;  // of the program: 0, 1, 2, 3; -1: none
  int ready_read;
};

STRAKE_AFTER_CLONE void close_above(int last) noexcept {
  if (::syscall(SYS_close_range, last + 1, ~0U, 0) == 0) return;
  struct rlimit limit {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  for (rlim_t fd = static_cast<rlim_t>(last) + 1; fd < limit.rlim_cur; ++fd)
    ::close(static_cast<int>(fd));
}

/// Copies above of the numbers wanted first, so that none overwrites another's source.
STRAKE_AFTER_CLONE void place(Descriptors descriptors) noexcept {
  for (int& fd : descriptors)
    if (fd >= 0) fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 32);
  for (int number = 0; number < kDescriptors; ++number)
    if (descriptors[static_cast<std::size_t>(number)] >= 0)
      ::dup2(descriptors[static_cast<std::size_t>(number)], number);
    else
      ::close(number);
}

/// Process 1 of the program's pid namespace. Runs in a copy of the builder's memory: system calls
/// only. It keeps nothing of the builder's files open: there are locks among them.
[[noreturn]] STRAKE_AFTER_CLONE void guard(const GuardPlan& plan) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_DUMPABLE, 0);
  ::close(plan.ready_read);
  place(plan.descriptors);
  close_above(kDescriptors - 1);
  const int ready = plan.descriptors[3] < 0 ? 1 : 3;
  pollfd builder{ready, 0, 0};  // it may have died before the signal was armed
  if (::poll(&builder, 1, 0) > 0 && (builder.revents & POLLERR) != 0) ::_exit(1);
  ::setsid();  // Ctrl-C is for the builder, which still needs the network to stop the step
  ::signal(SIGPIPE, SIG_DFL);  // older versions of pasta take it amiss if it is ignored

  const auto program = static_cast<pid_t>(::syscall(SYS_clone, static_cast<unsigned long>(SIGCHLD),
                                                    nullptr, nullptr, nullptr, nullptr));
  if (program == 0) {
    char* const environment[] = {nullptr};
    ::execve(plan.path, plan.arguments, environment);
    ::_exit(127);
  }
  close_above(-1);  // the pipes end with the program
  int status = 0;
  while (program > 0 && ::waitpid(program, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(1);
}

ChildProcess start(const GuardPlan& plan) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  const auto pid = static_cast<pid_t>(
      ::syscall(SYS_clone, static_cast<unsigned long>(CLONE_NEWPID | CLONE_PIDFD | SIGCHLD),
                nullptr, &pidfd, nullptr, nullptr));
  if (pid == 0) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    guard(plan);
  }
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) throw base::system_error(error, "create", "process of the network program");
  return ChildProcess(pid, FileDescriptor(pidfd));
}

/// False if the program ended, or says nothing for very long.
bool await(int ready) {
  pollfd event{ready, POLLIN, 0};
  int count;
  while ((count = ::poll(&event, 1, kReadyTimeout)) < 0 && errno == EINTR) {
  }
  char byte;
  return count > 0 && ::read(ready, &byte, 1) == 1;
}

void make_nonblocking(int fd) {
  if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) throw base::system_error(errno, "set up", "pipe");
}

/// What there is to read now.
std::string rest_of(int messages) {
  std::string text(4096, '\0');
  const ssize_t count = ::read(messages, text.data(), text.size());
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::string find_in_path(std::string_view name) {
  const char* variable = std::getenv("PATH");
  std::string_view path = variable != nullptr && *variable != '\0' ? variable : kUsualPath;
  while (!path.empty()) {
    const std::string_view directory = path.substr(0, path.find(':'));
    path.remove_prefix(std::min(directory.size() + 1, path.size()));
    if (!directory.starts_with('/')) continue;
    std::string file = std::string(directory) + "/" + std::string(name);
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  return "";
}

const char* name_of(NetworkProgram::Kind kind) {
  return kind == NetworkProgram::Kind::pasta ? "pasta" : "slirp4netns";
}

}  // namespace

const char* NetworkProgram::name_server() const noexcept {
  return kind == Kind::pasta ? "169.254.1.1" : "10.0.2.3";
}

NameServer name_server_of(const Spec& spec) noexcept {
  return spec.resolver.servers.empty() ? NameServer::program : NameServer::none;
}

NetworkProgram find_network_program() {
  for (const auto kind : {NetworkProgram::Kind::pasta, NetworkProgram::Kind::slirp4netns}) {
    std::string path = find_in_path(name_of(kind));
    if (path.empty()) continue;
    if (::access(kTunnelDevice, R_OK | W_OK) != 0) {
      const int error = errno;
      throw Error(ErrorCode::unsupported,
                  "cannot give steps a private network: " +
                      std::string(base::system_error(error, "open", kTunnelDevice).what()))
          .hint(error == ENOENT ? "load the kernel's module tun, or pass the device in"
                                : "let this user open it: chmod 666 /dev/net/tun");
    }
    return {kind, std::move(path)};
  }
  throw Error(ErrorCode::unsupported,
              "cannot give steps a private network: neither pasta nor slirp4netns is installed")
      .hint("install the package passt or slirp4netns, or use --network=host");
}

std::vector<std::string> network_arguments(const NetworkProgram& program, NameServer name_server,
                                           bool as_root) {
  if (program.kind == NetworkProgram::Kind::slirp4netns) {
    std::vector<std::string> words{
        "slirp4netns",      "--configure",      "--mtu=65520",  "--disable-host-loopback",
        "--enable-sandbox", "--enable-seccomp", "--ready-fd=3", "--netns-type=path"};
    if (name_server == NameServer::none) words.emplace_back("--disable-dns");
    words.insert(words.end(), {"/proc/self/fd/0", "tap0"});
    return words;
  }
  // No port of the step is open to the host, none of the host's loopback to the step, and the
  // gateway's address is the gateway, not another name of the host.
  std::vector<std::string> words{"pasta",       "--foreground", "--quiet",        "--config-net",
                                 "--no-map-gw", "--tcp-ports",  "none",           "--udp-ports",
                                 "none",        "--tcp-ns",     "none",           "--udp-ns",
                                 "none",        "--netns-only", "--no-netns-quit"};
  if (name_server == NameServer::program)
    words.insert(words.end(), {"--dns-forward", program.name_server()});
  // As nobody, which it would become, it could not enter a namespace of root's. It gives up its
  // rights afterwards all the same.
  if (as_root) words.insert(words.end(), {"--runas", "0:0"});
  words.insert(words.end(), {"--pid", "/proc/self/fd/1", "--netns", "/proc/self/fd/0"});
  return words;
}

OutwardNetwork::OutwardNetwork(const NetworkProgram& program, const Spec& spec, pid_t process) {
  const std::string path = "/proc/" + std::to_string(process) + "/ns/net";
  const FileDescriptor network(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!network) throw base::system_error(errno, "open", path);
  base::Pipe ready = base::make_pipe(), messages = base::make_pipe();

  std::vector<std::string> words =
      network_arguments(program, name_server_of(spec), ::geteuid() == 0);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const int said = messages.write_end.get(), done = ready.write_end.get();
  // A program that talks too much loses words, not its life.
  make_nonblocking(said);
  make_nonblocking(messages.read_end.get());
  GuardPlan plan{program.path.c_str(), arguments.data(), {}, ready.read_end.get()};
  plan.descriptors = program.kind == NetworkProgram::Kind::pasta
                         ? Descriptors{network.get(), done, said, -1}
                         : Descriptors{network.get(), said, said, done};
  guard_ = start(plan);
  ready.write_end.reset();
  messages.write_end.reset();
  messages_ = std::move(messages.read_end);
  if (await(ready.read_end.get())) return;

  const std::string text = rest_of(messages_.get());
  Error error(ErrorCode::unsupported,
              std::string(name_of(program.kind)) + " could not connect the network of the step");
  if (!text.empty()) error.add_note(text);
  error.set_hint("use --network=host, or install the other one of passt and slirp4netns");
  throw error;
}

}  // namespace strake::sandbox
