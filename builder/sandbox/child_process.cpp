#include "builder/sandbox/child_process.h"

#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

namespace strake::sandbox {

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      pidfd_(std::move(other.pidfd_)),
      end_signal_(other.end_signal_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
    end_signal_ = other.end_signal_;
  }
  return *this;
}

void ChildProcess::signal(int number) const noexcept {
  if (pid_ > 0) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

int ChildProcess::wait() noexcept {
  int status = 0;
  while (::waitpid(pid_, &status, __WALL) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  pidfd_.reset();
  return status;
}

void ChildProcess::kill_and_reap() noexcept {
  if (pid_ <= 0) return;
  kill();
  wait();
}

int run_probe(int (*probe)(const void*), const void* argument, int clone_flags) noexcept {
  // Without CLONE_VM and with no stack given this is fork, plus the namespaces.
  const auto pid =
      static_cast<pid_t>(::syscall(SYS_clone, static_cast<unsigned long>(clone_flags) | SIGCHLD,
                                   nullptr, nullptr, nullptr, nullptr));
  if (pid < 0) return -errno;
  if (pid == 0) ::_exit(probe(argument));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

}  // namespace strake::sandbox
