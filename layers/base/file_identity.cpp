#include "layers/base/file_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

namespace strake::base {

int identify(int fd, FileIdentity& identity) noexcept {
  struct ::statx status;
  if (::statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
              STATX_TYPE | STATX_MODE | STATX_INO | STATX_MNT_ID, &status) == 0) {
    identity.device = ::makedev(status.stx_dev_major, status.stx_dev_minor);
    identity.inode = status.stx_ino;
    identity.mount = (status.stx_mask & STATX_MNT_ID) != 0 ? status.stx_mnt_id : 0;
    identity.mode = status.stx_mode;
    return 0;
  }
  // Old seccomp filters answer EPERM to statx.
  struct ::stat plain;
  if (::fstat(fd, &plain) != 0) return -errno;
  identity = {.device = plain.st_dev, .inode = plain.st_ino, .mount = 0, .mode = plain.st_mode};
  return 0;
}

}  // namespace strake::base
