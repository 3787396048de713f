#pragma once

#include <cstdint>

/// What the builder, the set-up code after clone and the step's init process tell each other.
/// Plain data: init is a program of its own, without a C++ runtime.
namespace strake::sandbox {

/// Where the start of a step can fail; `completed` is the record of a command that ran.
enum class Phase : std::uint32_t {
  enter_group,
  isolate_mounts,
  map_users,
  register_emulator,
  attach_root,
  attach_mount,  // detail: index of the operation
  mount_proc,
  mount_sys,
  mount_mqueue,
  mask_path,
  pivot_root,
  set_hostname,
  start_loopback,
  place_descriptors,
  start_init,
  read_plan,
  fork_command,
  take_terminal,
  change_root,
  set_groups,
  drop_capabilities,
  set_limits,  // detail: index of the limit
  change_directory,
  restrict_files,
  install_filter,
  set_user,
  execute,    // detail: 1 if the file exists
  completed,  // value: status as wait(2) gives it
};

/// One message on the status pipe; shorter than PIPE_BUF, so it arrives whole.
struct StatusRecord {
  Phase phase;
  std::int32_t value;  // errno, but for `completed`
  std::int32_t detail;
};

/// Descriptors of the init process besides 0, 1 and 2.
inline constexpr int kStatusFd = 3;
inline constexpr int kPlanFd = 4;
inline constexpr int kKeepFd = 5;        // kept open as long as the step lives, where there is one
inline constexpr int kRootFd = 6;        // of the command, and what it may use: without namespaces
inline constexpr int kFilesFd = 7;       // (InitPlan::in_chroot)
inline constexpr int kSupervisorFd = 8;  // socket that takes the listener of InitPlan::supervised
inline constexpr int kFirstUnusedFd = 9;

/// What tells an init without namespaces that the step is to end at once.
inline constexpr int kEndSignal = 10;  // SIGUSR1

struct PlanLimit {
  std::uint64_t resource, soft, hard;
};

/// Part of the plan's file: `count` elements at `offset` from its start.
struct PlanArray {
  std::uint64_t offset = 0, count = 0;
};

/// Head of the file that tells init what to run. Arrays of strings hold the strings' offsets;
/// argv and env end with a 0 that is not counted.
struct InitPlan {
  std::uint64_t size_bytes = 0;
  std::uint32_t uid = 0, gid = 0;
  std::uint32_t fixed_ids = 0;    // there is no id but 0: user and groups stay as they are
  std::uint32_t interactive = 0;  // signals from outside are for the command alone
  std::uint32_t terminal = 0;     // its stdin is to be its controlling terminal
  /// There is no namespace around init: it changes the root of the command itself, collects and
  /// kills what the command leaves behind, and ends the step when it is told to, or when the
  /// builder dies.
  std::uint32_t in_chroot = 0;
  std::uint32_t no_new_privileges = 0;
  std::uint64_t capabilities = 0;  // what the bounding set keeps
  PlanArray groups;                // uint32_t
  PlanArray limits;                // PlanLimit
  PlanArray filter;                // struct sock_filter
  PlanArray supervised;            // the same: sends calls to the builder, which answers them
  PlanArray argv, env;
  PlanArray candidates;  // files to try in this order
  std::uint64_t working_dir = 0;
};

}  // namespace strake::sandbox
