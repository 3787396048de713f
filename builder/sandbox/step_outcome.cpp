#include "builder/sandbox/step_outcome.h"

#include <signal.h>
#include <sys/wait.h>

#include <cerrno>

#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

constexpr int kNotFound = 127, kNotExecutable = 126, kTimedOut = 124;

std::string_view doing(Phase phase) {
  switch (phase) {
    case Phase::isolate_mounts:
      return "isolate the mounts of";
    case Phase::enter_group:
      return "limit the resources of";
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
    case Phase::change_root:
      return "change the root of";
    case Phase::set_groups:
      return "set the groups of";
    case Phase::drop_capabilities:
      return "drop capabilities of";
    case Phase::set_limits:
      return "set the limits of";
    case Phase::change_directory:
      return "enter the working directory of";
    case Phase::restrict_files:
      return "restrict the files of";
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

}  // namespace

ExitStatus exit_status(const Spec& spec, const Outcome& outcome,
                       const std::function<std::string(int)>& target_of) {
  // init itself was killed before it could report: by the kernel for lack of memory, or by root.
  if (outcome.timed_out) return {.code = kTimedOut, .timed_out = true};
  if (outcome.records.empty()) return ended(SIGKILL);
  const StatusRecord& record = outcome.records.front();
  if (record.phase == Phase::completed) return ended(record.value);
  if (record.phase == Phase::execute) return not_executed(spec, record.value, record.detail != 0);

  std::string subject = "the step";
  if (record.phase == Phase::attach_mount) subject += " at " + target_of(record.detail);
  if (record.phase == Phase::change_directory) subject += ", " + spec.working_dir;
  throw base::system_error(record.value, doing(record.phase), subject);
}

void add_limits_met(ExitStatus& status, const Cgroup& group, const OomWatch& machine) {
  if (status.success()) return;
  // Its own group knows also of a child whose death the command reports with a code of its own.
  status.oom_killed = group.memory_kills() > 0 || (was_killed(status) && machine.happened());
  status.processes_exhausted = group.refused_processes() > 0;
}

bool was_killed(const ExitStatus& status) noexcept {
  return status.code == 128 + SIGKILL;
}

}  // namespace strake::sandbox
