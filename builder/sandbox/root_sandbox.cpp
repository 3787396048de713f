#include "builder/sandbox/root_sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/oom_watch.h"
#include "builder/sandbox/step_program.h"
#include "builder/sandbox/step_streams.h"
#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

constexpr std::size_t kStackBytes = 256 << 10;
constexpr int kNotFound = 127, kNotExecutable = 126;
constexpr const char* kIdentityMap = "0 0 4294967295\n";

/// The stack of the cloned child, which may use the builder's memory until it becomes init.
class ChildStack {
 public:
  ChildStack()
      : memory_(::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw base::system_error(errno, "allocate", "stack");
  }
  ~ChildStack() { ::munmap(memory_, kStackBytes); }
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;
  void* top() const noexcept { return static_cast<char*>(memory_) + kStackBytes; }

 private:
  void* memory_;
};

/// No handler of the builder may run in the child: it could run in the builder's memory. init sets
/// the mask of the command.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

int enter(void* plan) {
  enter_sandbox(*static_cast<const ChildPlan*>(plan));
}

/// clone() rather than clone3(): containers' seccomp filters refuse the latter, the C library
/// wraps the former with a stack, and all flags that are needed fit.
///
/// In the usual case the child borrows the builder's memory and this thread sleeps until it has
/// become init (as vfork): no page table is copied, however large the builder. With a user
/// namespace the builder must write id maps meanwhile, so the child gets a copy.
ChildProcess clone_child(ChildPlan& plan, int flags) {
  const ChildStack stack;
  const SignalsBlocked blocked;
  const int memory = (flags & CLONE_NEWUSER) != 0 ? 0 : CLONE_VM | CLONE_VFORK;
  int pidfd = -1;
  const pid_t pid =
      ::clone(enter, stack.top(), flags | memory | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  if (pid < 0) {
    Error error = base::system_error(errno, "create", "namespaces of the step");
    if (errno == ENOSPC) error.set_hint("raise the limits in /proc/sys/user/max_*_namespaces");
    throw error;
  }
  return ChildProcess(pid, FileDescriptor(pidfd));
}

void write_map(pid_t pid, const char* name) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) throw base::system_error(errno, "open", path);
  base::write_full(file.get(), base::bytes_of(kIdentityMap), path);
}

int namespace_flags(const Spec& spec, const Emulation& emulation) {
  int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (spec.network == Network::none) flags |= CLONE_NEWNET;
  if (emulation.kind == Emulation::Kind::own_instance) flags |= CLONE_NEWUSER;
  return flags;
}

ChildProcess start(ChildPlan& plan, int flags) {
  if ((flags & CLONE_NEWUSER) == 0) return clone_child(plan, flags);
  base::Pipe release = base::make_pipe();
  plan.release_fd = release.read_end.get();
  ChildProcess child = clone_child(plan, flags);
  write_map(child.pid(), "uid_map");
  write_map(child.pid(), "gid_map");
  base::write_full(release.write_end.get(), base::bytes_of("!"), "pipe");
  return child;
}

std::string_view doing(Phase phase) {
  switch (phase) {
    case Phase::isolate_mounts:
      return "isolate the mounts of";
    case Phase::map_users:
      return "map the users of";
    case Phase::register_emulator:
      return "register the emulator of";
    case Phase::attach_root:
      return "attach the root of";
    case Phase::attach_mount:
      return "attach a mount of";
    case Phase::mount_proc:
      return "mount /proc of";
    case Phase::mount_sys:
      return "mount /sys of";
    case Phase::mount_mqueue:
      return "mount /dev/mqueue of";
    case Phase::mask_path:
      return "mask kernel files of";
    case Phase::pivot_root:
      return "change the root of";
    case Phase::set_hostname:
      return "set the host name of";
    case Phase::start_loopback:
      return "start the loopback network of";
    case Phase::place_descriptors:
      return "place the descriptors of";
    case Phase::start_init:
      return "start process 1 of";
    case Phase::read_plan:
      return "read the plan of";
    case Phase::fork_command:
      return "start a process of";
    case Phase::take_terminal:
      return "give a terminal to";
    case Phase::set_groups:
      return "set the groups of";
    case Phase::drop_capabilities:
      return "drop capabilities of";
    case Phase::set_limits:
      return "set the limits of";
    case Phase::change_directory:
      return "enter the working directory of";
    case Phase::install_filter:
      return "install the system call filter of";
    case Phase::set_user:
      return "set the user of";
    case Phase::execute:
      return "execute";
    case Phase::completed:
      return "end";
  }
  return "start";
}

ExitStatus not_executed(const Spec& spec, int error, bool exists) {
  const std::string command = base::quoted(spec.argv.front());
  ExitStatus status;
  status.code = error == ENOENT || error == ENOTDIR ? kNotFound : kNotExecutable;
  if (status.code == kNotFound && !exists)
    status.explanation = "command " + command + " not found in the image";
  else if (error == ENOENT)
    status.explanation =
        "cannot execute " + command + ": its interpreter or program loader is not in the image";
  else if (error == EACCES)
    status.explanation = "cannot execute " + command + ": permission denied";
  else if (error == ENOEXEC)
    status.explanation = "cannot execute " + command + ": not a program for this platform";
  else
    status.explanation = base::system_error(error, "execute", spec.argv.front()).what();
  return status;
}

ExitStatus ended(int wait_status) {
  ExitStatus status;
  if (WIFSIGNALED(wait_status)) {
    status.signal = WTERMSIG(wait_status);
    status.code = 128 + status.signal;
  } else {
    status.code = WEXITSTATUS(wait_status);
  }
  return status;
}

/// A shell that starts the command reports the death of its child as exit code 137.
bool was_killed(const ExitStatus& status) {
  return status.code == 128 + SIGKILL;
}

ExitStatus exit_status(const Spec& spec, const RootAssembly& root, const Outcome& outcome) {
  // init itself was killed before it could report: by the kernel for lack of memory, or by root.
  if (outcome.records.empty()) return ended(SIGKILL);
  const StatusRecord& record = outcome.records.front();
  if (record.phase == Phase::completed) return ended(record.value);
  if (record.phase == Phase::execute) return not_executed(spec, record.value, record.detail != 0);

  std::string subject = "the step";
  if (record.phase == Phase::attach_mount)
    subject += " at " + root.target_of(static_cast<std::size_t>(record.detail));
  if (record.phase == Phase::change_directory) subject += ", " + spec.working_dir;
  throw base::system_error(record.value, doing(record.phase), subject);
}

}  // namespace

RootSandbox::RootSandbox(std::chrono::milliseconds grace) : grace_(grace) {
  if (!has_capability(own_capabilities(), CAP_SYS_ADMIN))
    throw Error(ErrorCode::unsupported, "cannot run steps without CAP_SYS_ADMIN")
        .hint("run as root");
  init_program_ = make_init_program();
}

void RootSandbox::check_runnable(const std::string& architecture) const {
  find_emulation(architecture);
}

ExitStatus RootSandbox::run(const Spec& spec, base::ByteSink& output, std::stop_token stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "step stopped");
  const Emulation emulation = find_emulation(spec.architecture);
  const FileDescriptor init_plan = make_init_plan(spec);
  // Outlives all processes of the step: its destructor takes the mount points away.
  const RootAssembly root(spec, devices_);
  StepStreams streams(spec, output, root.terminals());
  base::Pipe status_pipe = base::make_pipe();

  ChildPlan plan;
  root.describe(plan);
  plan.status_read = status_pipe.read_end.get();
  plan.status_write = status_pipe.write_end.get();
  plan.stdin_fd = streams.input();
  plan.stdout_fd = streams.output();
  plan.stderr_fd = streams.error();
  plan.hostname = spec.hostname.c_str();
  plan.own_network = spec.network == Network::none;
  plan.guarded = !spec.insecure;
  plan.program_fd = init_program_.get();
  plan.plan_fd = init_plan.get();
  if (!emulation.registration.empty()) plan.binfmt = emulation.registration.c_str();

  const OomWatch memory;
  ChildProcess init = start(plan, namespace_flags(spec, emulation));
  // The child has its own copies; with ours the pipes would never end.
  status_pipe.write_end.reset();
  streams.close_far_ends();
  const Outcome outcome =
      supervise(std::move(init), std::move(status_pipe.read_end), streams.flows(),
                {.polite = stop,
                 .urgent = urgent_.get_token(),
                 .grace = grace_,
                 .at_terminal = spec.interaction && spec.interaction->terminal});
  if (outcome.stopped) throw Error(ErrorCode::cancelled, "step stopped");
  ExitStatus status = exit_status(spec, root, outcome);
  status.oom_killed = was_killed(status) && memory.happened();
  return status;
}

std::unique_ptr<Sandbox> make_sandbox() {
  return std::make_unique<RootSandbox>();
}

}  // namespace strake::sandbox
