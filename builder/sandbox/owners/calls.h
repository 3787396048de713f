#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "builder/sandbox/seccomp_profile.h"

namespace strake::sandbox {

/// What the kernel cannot do for a step in this user namespace, and a supervisor does instead.
enum class Supervision {
  none,     // the first user namespace, where everything is real
  devices,  // many ids are mapped: owners are real, devices cannot be made
  owners,   // one id is mapped: owners, credentials and devices
};

/// For the namespace this process is in now.
Supervision needed_supervision();

/// The system calls that are answered by a supervisor.
enum class Call : std::uint8_t {
  // Owners.
  chown,
  lchown,
  fchown,
  fchownat,
  stat,
  lstat,
  fstat,
  newfstatat,
  statx,
  listxattr,
  llistxattr,
  flistxattr,
  // Files that are made.
  open,
  openat,
  openat2,
  creat,
  mkdir,
  mkdirat,
  symlink,
  symlinkat,
  mknod,
  mknodat,
  // Credentials.
  getuid,
  geteuid,
  getgid,
  getegid,
  getresuid,
  getresgid,
  getgroups,
  setuid,
  setgid,
  setreuid,
  setregid,
  setresuid,
  setresgid,
  setfsuid,
  setfsgid,
  setgroups,
  execve,
  execveat,
  // The limit in which the kernel keeps them (CredentialTable).
  prlimit,
  setrlimit,
  getrlimit,
  // Where paths begin.
  chroot,
};

/// The call of a notification: `architecture` and `number` as in struct seccomp_data. nullopt for
/// what the filter does not send.
std::optional<Call> find_call(std::uint32_t architecture, int number) noexcept;

/// The filter that sends the calls which `supervision` (not none) is about, and allows all others.
/// Programs for the native architecture, and on x86-64 those for i386, whose stat calls and 16-bit
/// ids it leaves alone; others are not looked at.
std::vector<FilterInstruction> supervision_filter(Supervision supervision);

}  // namespace strake::sandbox
