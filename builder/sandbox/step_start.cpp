#include "builder/sandbox/step_start.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>

#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/trace.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::FileDescriptor;

constexpr std::size_t kStackBytes = 256 << 10;

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

}  // namespace

// clone() rather than clone3(): containers' seccomp filters refuse the latter, the C library wraps
// the former with a stack, and all flags that are needed fit.
//
// In the usual case the child borrows the builder's memory and this thread sleeps until it has
// become init (as vfork): no page table is copied, however large the builder. Where the child has
// to wait for the builder (which writes id maps, or connects a network), it gets a copy.
ChildProcess clone_child(const ChildPlan& plan, int flags) {
  const base::TraceSpan span("start");
  const ChildStack stack;
  const SignalsBlocked blocked;
  const int memory = plan.release_fd >= 0 ? 0 : CLONE_VM | CLONE_VFORK;
  int pidfd = -1;
  const pid_t pid = ::clone(enter, stack.top(), flags | memory | CLONE_PIDFD | SIGCHLD,
                            const_cast<ChildPlan*>(&plan), &pidfd);
  if (pid < 0) {
    Error error = base::system_error(errno, "create", "namespaces of the step");
    if (errno == ENOSPC) error.set_hint("raise the limits in /proc/sys/user/max_*_namespaces");
    throw error;
  }
  return ChildProcess(pid, FileDescriptor(pidfd), plan.in_chroot ? kEndSignal : SIGKILL);
}

}  // namespace strake::sandbox
