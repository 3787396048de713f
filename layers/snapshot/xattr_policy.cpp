#include "layers/snapshot/xattr_policy.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>

#include "layers/archive/entry_policy.h"

namespace strake::layers {
namespace {

bool in_first_user_namespace() {
  constexpr ino_t kFirstUserNamespace = 0xEFFFFFFD;  // PROC_USER_INIT_INO of linux/proc_ns.h
  struct ::stat status;
  return ::stat("/proc/self/ns/user", &status) == 0 && status.st_ino == kFirstUserNamespace;
}

bool has_cap_sys_admin() {
  ::__user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<::__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data = {};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[0].effective & (1U << CAP_SYS_ADMIN)) != 0;
}

}  // namespace

XattrNamespace usable_xattr_namespace() {
  return has_cap_sys_admin() && in_first_user_namespace() ? XattrNamespace::trusted
                                                          : XattrNamespace::user;
}

const char* opaque_xattr(XattrNamespace space) {
  return space == XattrNamespace::trusted ? "trusted.overlay.opaque" : "user.overlay.opaque";
}

bool is_opaque(int directory, XattrNamespace space) {
  char value = 0;
  return ::fgetxattr(directory, opaque_xattr(space), &value, 1) == 1 && value == 'y';
}

bool is_layer_xattr(std::string_view name, std::string_view value) {
  return name != kOwnerXattr && keep_xattr(name, value);
}

}  // namespace strake::layers
