#pragma once

namespace strake::sandbox {

/// What the doctor tries. Each runs in a child of its own (run_probe), uses system calls only and
/// answers with 0 or the errno of the call that failed; `argument` is what it says.

int probe_nothing(const void*);
int probe_openat2(const void*);
int probe_close_range(const void*);
int probe_clone3(const void*);
int probe_mount_api(const void*);
int probe_proc(const void*);  // in new pid and mount namespaces
int probe_chroot(const void*);
int probe_device_nodes(const void* directory_fd);
int probe_reflink(const void* directory_fd);
int probe_seccomp(const void*);
int probe_binfmt(const void*);  // in new user and mount namespaces

/// Mounts an overlay of directories made in `directory` (an absolute path, as char*), removes one
/// of the lower layer's and remakes another, and looks for the whiteout and the opaque mark. In a
/// new mount namespace.
int probe_overlay(const void* directory);

/// The same in a new user namespace too, with the maps "0 <own id> 1" written there.
struct UserOverlayProbe {
  const char* directory;
  const char* uid_map;
  const char* gid_map;
};
int probe_user_overlay(const void* user_overlay_probe);

/// The Landlock ABI, 0 if there is none.
int landlock_abi() noexcept;

}  // namespace strake::sandbox
