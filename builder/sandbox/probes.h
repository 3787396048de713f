#pragma once

namespace strake::sandbox {

/// What the doctor tries. Each runs in a child of its own (run_probe), uses system calls only and
/// answers with 0 or the errno of the call that failed; `argument` is what it says.

int probe_nothing(const void*);
int probe_openat2(const void*);
int probe_close_range(const void*);
int probe_clone3(const void*);
int probe_mount_api(const void*);
int probe_proc(const void*);      // in new pid and mount namespaces
int probe_chroot(const void*);
int probe_device_nodes(const void* directory_fd);
int probe_reflink(const void* directory_fd);
int probe_seccomp(const void*);
int probe_binfmt(const void*);    // in new user and mount namespaces

/// Mounts an overlay whose directories lower, upper and work lie in the working directory given,
/// removes and remakes a directory of lower, and looks for the whiteout and the opaque mark.
/// In new mount (and user) namespaces.
int probe_overlay(const void* directory_fd);
int probe_user_overlay(const void* directory_fd);

/// The Landlock ABI, 0 if there is none.
int landlock_abi() noexcept;

}  // namespace strake::sandbox
