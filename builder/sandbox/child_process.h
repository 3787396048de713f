#pragma once

#include <signal.h>
#include <sys/types.h>

#include <utility>

#include "layers/base/fd.h"

namespace strake::sandbox {

/// Sole owner of a child process, known by its pidfd: kills and reaps it if it is abandoned.
class ChildProcess {
 public:
  ChildProcess() = default;
  /// `end_signal` is what ends the process at once, if it is one that does more than die.
  ChildProcess(pid_t pid, base::FileDescriptor pidfd, int end_signal = SIGKILL)
      : pid_(pid), pidfd_(std::move(pidfd)), end_signal_(end_signal) {}
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess() { kill_and_reap(); }

  pid_t pid() const noexcept { return pid_; }
  /// Readable (poll) when the process has ended.
  int pidfd() const noexcept { return pidfd_.get(); }
  explicit operator bool() const noexcept { return pid_ > 0; }

  /// No effect once the process has ended.
  void signal(int number) const noexcept;
  void kill() const noexcept { signal(end_signal_); }
  /// Waits for the end; returns the status as wait(2) gives it. The object is empty afterwards.
  int wait() noexcept;

 private:
  void kill_and_reap() noexcept;

  pid_t pid_ = -1;
  base::FileDescriptor pidfd_;
  int end_signal_ = SIGKILL;
};

/// Forks and runs `probe(argument)` in the child, which ends with its result (0..255). For probes
/// of what the kernel allows: `probe` may use system calls only (the parent may have threads).
/// `clone_flags` are CLONE_NEW* flags; returns -errno if the child could not be made.
int run_probe(int (*probe)(const void*), const void* argument, int clone_flags) noexcept;

}  // namespace strake::sandbox
