#pragma once

#include <cstdint>

namespace strake::base {

/// Which file a descriptor names, and through which mount. Internal to base.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0;
  std::uint64_t mount = 0;  // 0 on kernels that do not tell (before 5.8)
  std::uint32_t mode = 0;

  bool same_file(const FileIdentity& other) const {
    return device == other.device && inode == other.inode && mount == other.mount;
  }
  bool same_mount(const FileIdentity& other) const {
    return device == other.device && mount == other.mount;
  }
};

/// The identity of an open file (O_PATH will do). Returns 0 or -errno.
int identify(int fd, FileIdentity& identity) noexcept;

}  // namespace strake::base
