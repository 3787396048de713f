// Runs a program with what a container of docker's default profile leaves of root: fourteen
// capabilities, and a filter of system calls that allows neither mounts nor namespaces.
// Usage: in_container PROGRAM ARGUMENT...

#include <linux/capability.h>

#include <cstdio>

#include "tests/support/call_filter.h"

namespace {

constexpr unsigned kCapabilities = 0xa80425fb;
constexpr unsigned kNamespaceFlags = 0x7e020000;  // CLONE_NEW*

bool install_filter() {
  strake::test::CallFilter filter;
  for (const long call :
       {SYS_mount, SYS_umount2, SYS_pivot_root, SYS_setns, SYS_fsopen, SYS_fsconfig, SYS_fsmount,
        SYS_fspick, SYS_open_tree, SYS_move_mount, SYS_mount_setattr})
    filter.refuse(call, EPERM);
  return filter.refuse(SYS_clone3, ENOSYS)
      .refuse_flags(SYS_unshare, kNamespaceFlags, EPERM)
      .refuse_flags(SYS_clone, kNamespaceFlags, EPERM)
      .install();
}

/// Permitted, effective and bounding, and nothing inheritable, as runtimes do it now.
bool drop_capabilities() {
  for (int capability = 0; capability < 64; ++capability)
    if (capability > 31 || (kCapabilities >> capability & 1) == 0)
      ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const __user_cap_data_struct sets[2] = {{kCapabilities, kCapabilities, 0}, {0, 0, 0}};
  return ::syscall(SYS_capset, &header, sets) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  if (!install_filter() || !drop_capabilities()) {
    std::perror("in_container");
    return 2;
  }
  ::execvp(argv[1], argv + 1);
  std::perror(argv[1]);
  return 127;
}
