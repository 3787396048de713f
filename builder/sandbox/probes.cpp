#include "builder/sandbox/probes.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "builder/sandbox/mount.h"

namespace strake::sandbox {
namespace {

constexpr int kDifferent = EIO;  // the calls worked, the result is not what is needed

int directory_of(const void* argument) {
  return *static_cast<const int*>(argument);
}

int error_of(long result) {
  return result < 0 ? errno : 0;
}
int error_of_kernel(int result) {
  return result < 0 ? -result : 0;
}

bool set(int context, const char* key, const char* value) {
  return ::syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, value, 0) == 0;
}
bool set_flag(int context, const char* key) {
  return ::syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, key, nullptr, 0) == 0;
}

/// The merged root, or -errno. Paths are relative to the working directory.
int mount_overlay(bool user_xattrs) {
  const int context = static_cast<int>(::syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
  if (context < 0) return -errno;
  if (!set(context, "lowerdir", "lower") || !set(context, "upperdir", "upper") ||
      !set(context, "workdir", "work") || (user_xattrs && !set_flag(context, "userxattr")) ||
      ::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return -errno;
  const long mount = ::syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
  return mount < 0 ? -errno : static_cast<int>(mount);
}

bool is_whiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

/// Without the right kind of xattrs the mount itself works, and this fails with EIO.
int try_overlay(const char* directory, bool user_xattrs) {
  // By path: a descriptor would lead into the mounts of the parent, which overlayfs does not take.
  if (::chdir(directory) != 0) return errno;
  for (const char* name : {"lower", "lower/again", "lower/gone", "lower/moved", "upper", "work"})
    if (::mkdir(name, 0755) != 0 && errno != EEXIST) return errno;
  const int file = ::open("lower/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file < 0) return errno;
  ::close(file);
  const int merged = mount_overlay(user_xattrs);
  if (merged < 0) return -merged;
  // That a directory does not move is told by EXDEV, and programs copy it then.
  if (::renameat(merged, "moved", merged, "new") != 0 && errno != EXDEV) return errno;
  if (::unlinkat(merged, "file", 0) != 0 || ::unlinkat(merged, "gone", AT_REMOVEDIR) != 0 ||
      ::unlinkat(merged, "again", AT_REMOVEDIR) != 0 || ::mkdirat(merged, "again", 0755) != 0)
    return errno;
  struct stat gone, file_gone;
  if (::stat("upper/gone", &gone) != 0 || ::stat("upper/file", &file_gone) != 0) return errno;
  char opaque = 0;
  const char* name = user_xattrs ? "user.overlay.opaque" : "trusted.overlay.opaque";
  if (::getxattr("upper/again", name, &opaque, 1) != 1) return errno;
  return is_whiteout(gone) && is_whiteout(file_gone) && opaque == 'y' ? 0 : kDifferent;
}

int try_xattr(int directory, const char* name, const void* value, std::size_t size) {
  const int file = ::openat(directory, "marked", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  return file < 0 ? errno : error_of(::fsetxattr(file, name, value, size, 0));
}

int try_seccomp_action(unsigned action) {
  return error_of(::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
}

}  // namespace

int probe_openat2(const void*) {
  struct open_how how {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return error_of(::syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how));
}

int probe_statx(const void*) {
  struct statx status;
  return error_of(::syscall(SYS_statx, AT_FDCWD, ".", 0, STATX_BASIC_STATS, &status));
}

int probe_close_range(const void*) {
  return error_of(::syscall(SYS_close_range, ~0U - 1, ~0U, 0));
}

int probe_clone3(const void*) {
  // Too small a structure is EINVAL from a kernel that has the call.
  return ::syscall(SYS_clone3, nullptr, 0) < 0 && errno != EINVAL ? errno : 0;
}

int probe_mount_api(const void*) {
  const int tmpfs = sys_make_filesystem("tmpfs", kNoDevices);
  if (tmpfs < 0) return -tmpfs;
  return error_of_kernel(sys_mount_setattr(tmpfs, kReadOnly));
}

int probe_proc(const void*) {
  return error_of_kernel(sys_make_filesystem("proc", kNoExec));
}

int probe_sysfs(const void*) {
  return error_of_kernel(sys_make_filesystem("sysfs", kNoExec));
}

int probe_devpts(const void*) {
  return error_of_kernel(sys_make_filesystem("devpts", kNoExec));
}

int probe_chroot(const void*) {
  return error_of(::chroot("/"));
}

int probe_device_nodes(const void* directory_fd) {
  const int directory = directory_of(directory_fd);
  const int error = error_of(::mknodat(directory, "node", S_IFCHR | 0600, makedev(1, 3)));
  ::unlinkat(directory, "node", 0);
  return error;
}

int probe_reflink(const void* directory_fd) {
  const int directory = directory_of(directory_fd);
  constexpr int kFlags = O_RDWR | O_CREAT | O_CLOEXEC;
  const int from = ::openat(directory, "from", kFlags, 0600);
  const int to = ::openat(directory, "to", kFlags, 0600);
  if (from < 0 || to < 0 || ::write(from, "x", 1) != 1) return errno;
  return error_of(::ioctl(to, FICLONE, from));
}

int probe_user_xattrs(const void* directory_fd) {
  return try_xattr(directory_of(directory_fd), "user.strake", "x", 1);
}

int probe_file_capabilities(const void* directory_fd) {
  // VFS_CAP_REVISION_2, and no capability at all; little-endian as on disk.
  constexpr char kNone[20] = {0, 0, 0, 2};
  return try_xattr(directory_of(directory_fd), "security.capability", kNone, sizeof kNone);
}

int probe_trusted_xattrs(const void* directory_fd) {
  return try_xattr(directory_of(directory_fd), "trusted.strake", "x", 1);
}

int probe_seccomp(const void*) {
  return try_seccomp_action(SECCOMP_RET_ERRNO);
}

int probe_seccomp_notify(const void*) {
  return try_seccomp_action(SECCOMP_RET_USER_NOTIF);
}

int probe_binfmt(const void*) {
  return error_of_kernel(sys_make_filesystem("binfmt_misc", kNoExec));
}

int probe_overlay(const void* directory) {
  return try_overlay(static_cast<const char*>(directory), false);
}

int probe_user_overlay(const void* directory) {
  return try_overlay(static_cast<const char*>(directory), true);
}

}  // namespace strake::sandbox
