#include "builder/sandbox/capabilities.h"

#include <sys/capability.h>

#include <memory>

namespace strake::sandbox {
namespace {

constexpr int kStepCapabilities[] = {
    CAP_CHOWN,      CAP_DAC_OVERRIDE, CAP_FOWNER,      CAP_FSETID,  CAP_KILL,
    CAP_SETGID,     CAP_SETUID,       CAP_SETPCAP,     CAP_NET_RAW, CAP_NET_BIND_SERVICE,
    CAP_SYS_CHROOT, CAP_MKNOD,        CAP_AUDIT_WRITE, CAP_SETFCAP};

struct Free {
  void operator()(cap_t capabilities) const noexcept { ::cap_free(capabilities); }
};

}  // namespace

CapabilitySet step_capabilities() noexcept {
  CapabilitySet set = 0;
  for (const int capability : kStepCapabilities) set |= CapabilitySet{1} << capability;
  return set;
}

CapabilitySet own_capabilities() {
  const std::unique_ptr<std::remove_pointer_t<cap_t>, Free> own(::cap_get_proc());
  CapabilitySet set = 0;
  for (int capability = 0; own && capability <= CAP_LAST_CAP; ++capability) {
    cap_flag_value_t value = CAP_CLEAR;
    if (::cap_get_flag(own.get(), capability, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET)
      set |= CapabilitySet{1} << capability;
  }
  return set;
}

bool has_capability(CapabilitySet set, int capability) noexcept {
  return (set >> capability & 1) != 0;
}

}  // namespace strake::sandbox
