#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace strake::sandbox {

/// Bit n is capability number n of capabilities(7).
using CapabilitySet = std::uint64_t;

/// What a step running as root may do: docker's fourteen, CHOWN DAC_OVERRIDE FOWNER FSETID KILL
/// SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP.
CapabilitySet step_capabilities() noexcept;

/// The effective set of this process.
CapabilitySet own_capabilities();
bool has_capability(CapabilitySet set, int capability) noexcept;

/// What is left of `set` for a step in a plain chroot: nothing that leads out of it (SYS_CHROOT,
/// MKNOD, SYS_PTRACE) or to its neighbours (NET_RAW), and nothing that this process lacks.
CapabilitySet chroot_capabilities(CapabilitySet set);

/// All that this program knows of.
CapabilitySet all_capabilities() noexcept;
/// "SYS_ADMIN" of "sys_admin" and "CAP_SYS_ADMIN" alike. nullopt: there is none of this name.
std::optional<int> capability_number(std::string_view name);
/// "CAP_SYS_ADMIN"
std::string capability_name(int capability);

/// How the capabilities of a command differ from what it has by default.
struct CapabilityChanges {
  CapabilitySet add = 0, drop = 0;

  CapabilitySet of(CapabilitySet set) const noexcept { return (set & ~drop) | add; }
  bool any() const noexcept { return add != 0 || drop != 0; }
  bool operator==(const CapabilityChanges&) const = default;
};

}  // namespace strake::sandbox
