#pragma once

namespace strake::sandbox {

/// What the doctor tries. Each runs in a child of its own (run_probe), uses system calls only and
/// answers with 0 or the errno of the call that failed; `argument` is what it says.

int probe_openat2(const void*);
int probe_statx(const void*);
int probe_close_range(const void*);
int probe_clone3(const void*);
int probe_mount_api(const void*);
int probe_proc(const void*);  // in new pid and mount namespaces
int probe_sysfs(const void*);
int probe_devpts(const void*);
int probe_chroot(const void*);
int probe_device_nodes(const void* directory_fd);
int probe_reflink(const void* directory_fd);
int probe_user_xattrs(const void* directory_fd);
int probe_file_capabilities(const void* directory_fd);
int probe_trusted_xattrs(const void* directory_fd);
int probe_seccomp(const void*);
int probe_seccomp_notify(const void*);
int probe_binfmt(const void*);  // in new user and mount namespaces

/// Mounts an overlay of directories made in `directory` (an absolute path, as char*), in a new
/// mount namespace. Removes a file and a directory of the lower layer, remakes another and renames
/// one, and looks for the whiteouts and the opaque mark.
int probe_overlay(const void* directory);
/// The same with the marks of user namespaces.
int probe_user_overlay(const void* directory);

}  // namespace strake::sandbox
