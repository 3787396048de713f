#pragma once

#include <cstdint>

namespace strake::sandbox {

/// Bit n is capability number n of capabilities(7).
using CapabilitySet = std::uint64_t;

/// What a step running as root may do: docker's fourteen, CHOWN DAC_OVERRIDE FOWNER FSETID KILL
/// SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP.
CapabilitySet step_capabilities() noexcept;

/// The effective set of this process.
CapabilitySet own_capabilities();
bool has_capability(CapabilitySet set, int capability) noexcept;

}  // namespace strake::sandbox
