#pragma once

#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "builder/sandbox/init/system_call.h"

/// The processes of a step that has no pid namespace: init is their subreaper, so every one is its
/// child, or becomes it when its parent ends.
namespace strake::sandbox {

/// Calls `use` with the pid of each present child. False if the kernel does not list them.
template <typename Use>
bool for_each_child(Use use) noexcept {
  const long file =
      system_call(SYS_openat, AT_FDCWD, "/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[1024];
  long size, pid = 0;
  while ((size = system_call(SYS_read, file, text, sizeof text)) > 0) {
    for (long i = 0; i < size; ++i) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');  // a number may go on in the next piece
      } else if (pid > 0) {
        use(pid);
        pid = 0;
      }
    }
  }
  system_call(SYS_close, file);
  return size == 0;
}

/// SIGTERM for the command's group, and for what left it and lost its parent.
inline void ask_to_end(long command) noexcept {
  system_call(SYS_kill, -command, SIGTERM);
  for_each_child([command](long pid) {
    if (pid != command) system_call(SYS_kill, pid, SIGTERM);
  });
}

/// Kills everything and returns when nothing is left. A generation at a time: the children of what
/// was killed come to us. `status` is that of `command` if it was still running.
inline void kill_descendants(long command, int& status) noexcept {
  while (true) {
    const bool listed = for_each_child([](long pid) { system_call(SYS_kill, pid, SIGKILL); });
    if (!listed) system_call(SYS_kill, -command, SIGKILL);  // all that is known to us
    int ended_status = 0;
    long ended = system_call(SYS_wait4, -1, &ended_status, listed ? 0 : WNOHANG, 0L);
    while (ended > 0) {
      if (ended == command) status = ended_status;
      ended = system_call(SYS_wait4, -1, &ended_status, WNOHANG, 0L);
    }
    if (ended == -ECHILD || !listed) return;
  }
}

}  // namespace strake::sandbox
