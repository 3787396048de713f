#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "builder/sandbox/capabilities.h"

namespace strake::sandbox {

/// One instruction of a filter program; the layout of the kernel's struct sock_filter.
struct FilterInstruction {
  std::uint16_t code;
  std::uint8_t jump_true, jump_false;
  std::uint32_t k;
};

/// The system calls that steps with the usual capabilities are refused with EPERM, whatever their
/// arguments.
std::span<const std::string_view> denied_system_calls();

/// Whether a step sees other processes than its own: then it may not look into any (ptrace,
/// process_vm_readv, process_vm_writev).
enum class Neighbours { hidden, visible };

/// The filter for steps: everything is allowed but denied_system_calls(), new namespaces,
/// personalities that weaken the process, socket families AF_ALG and AF_VSOCK, and input injection
/// into terminals; clone3 does not exist (its flags cannot be looked at, and libc falls back). It
/// knows the native calls and, on x86-64, those of i386; others, x32 included, get EPERM. What a
/// granted capability is there for is allowed, as docker does: mounts and namespaces with
/// CAP_SYS_ADMIN. Built on first use, then shared; thread-safe. Throws Error(unsupported) if the
/// library cannot build it.
const std::vector<FilterInstruction>& seccomp_profile(CapabilitySet granted = step_capabilities(),
                                                      Neighbours neighbours = Neighbours::hidden);

}  // namespace strake::sandbox
