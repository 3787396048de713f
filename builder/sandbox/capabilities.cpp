#include "builder/sandbox/capabilities.h"

#include <sys/capability.h>

#include <algorithm>
#include <memory>

namespace strake::sandbox {
namespace {

constexpr int kStepCapabilities[] = {
    CAP_CHOWN,      CAP_DAC_OVERRIDE, CAP_FOWNER,      CAP_FSETID,  CAP_KILL,
    CAP_SETGID,     CAP_SETUID,       CAP_SETPCAP,     CAP_NET_RAW, CAP_NET_BIND_SERVICE,
    CAP_SYS_CHROOT, CAP_MKNOD,        CAP_AUDIT_WRITE, CAP_SETFCAP};

struct Free {
  void operator()(void* of_library) const noexcept { ::cap_free(of_library); }
};

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

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

CapabilitySet chroot_capabilities(CapabilitySet set) {
  for (const int capability : {CAP_SYS_CHROOT, CAP_MKNOD, CAP_SYS_PTRACE, CAP_NET_RAW})
    set &= ~(CapabilitySet{1} << capability);
  return set & own_capabilities();
}

bool has_capability(CapabilitySet set, int capability) noexcept {
  return (set >> capability & 1) != 0;
}

CapabilitySet all_capabilities() noexcept {
  return (CapabilitySet{2} << CAP_LAST_CAP) - 1;
}

std::optional<int> capability_number(std::string_view name) {
  std::string wanted = in_lower_case(name);
  if (!wanted.starts_with("cap_")) wanted.insert(0, "cap_");
  cap_value_t number = 0;
  if (::cap_from_name(wanted.c_str(), &number) != 0 || number > CAP_LAST_CAP) return std::nullopt;
  return number;
}

std::string capability_name(int capability) {
  const std::unique_ptr<char, Free> lower(::cap_to_name(capability));
  if (!lower) return "capability " + std::to_string(capability);
  std::string name(lower.get());
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return name;
}

}  // namespace strake::sandbox
