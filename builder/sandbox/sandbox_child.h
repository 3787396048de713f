#pragma once

#include <cstdint>
#include <span>

#include "builder/sandbox/init/protocol.h"

namespace strake::sandbox {

/// Puts one mount into the step's tree.
struct AttachOperation {
  int source_fd = -1;
  const char* source_name = "";  // "": the detached mount itself; else a copy of this entry in it
  std::uint64_t attributes = 0;  // restrictions added to a copy
  int target_fd = -1;            // O_PATH
  const char* target_name = "";  // "": target_fd itself
};

/// Everything that the code between clone and the start of init needs; nothing is computed there.
/// All descriptors are close-on-exec ones of the builder.
struct ChildPlan {
  int status_read = -1, status_write = -1;
  std::span<const int> groups;   // files of control groups to enter
  int release_fd = -1;           // >= 0: wait for a byte (or the end) before anything else
  const char* binfmt = nullptr;  // registration of an emulator in the new user namespace
  int root_fd = -1;              // the step's root, detached or in the builder's namespace's copy
  int scratch_fd = -1;           // detached; operations copy files out of it
  int nodes_fd = -1;             // the same for device nodes; -1: there are none
  std::span<const AttachOperation> operations;  // attached in this order
  int proc_target = -1;
  int proc_mount = -1;  // -1: made by the child, in its own pid namespace
  int sys_target = -1;
  int sys_mount = -1;  // -1: made by the child, in its own network namespace
  int mqueue_target = -1;
  const char* mask_file = nullptr;  // names in scratch: an empty file and directory nobody may read
  const char* mask_directory = nullptr;
  const char* hostname = "";
  bool own_network = false;
  bool guarded = true;  // parts of /proc and /sys are hidden or read-only
  int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;
  int program_fd = -1;     // the init executable
  int plan_fd = -1;        // its InitPlan
  int supervisor_fd = -1;  // takes the listener of InitPlan::supervised; -1: there is none
  /// Without namespaces nothing is attached, and init changes the root of the command itself.
  bool in_chroot = false;
  int files_fd = -1;  // then: a Landlock ruleset; -1: none
};

/// Runs in the cloned child, which may share the builder's memory: no allocation, no locks, no
/// exceptions, system calls only. Ends in init, or reports the phase that failed and exits.
[[noreturn]] void enter_sandbox(const ChildPlan& plan) noexcept;

}  // namespace strake::sandbox
