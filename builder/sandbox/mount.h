#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/base/fd.h"

namespace strake::sandbox {

/// Restrictions of a mount; the values are those of mount_setattr(2).
inline constexpr std::uint64_t kReadOnly = 0x1;
inline constexpr std::uint64_t kNoSuid = 0x2;
inline constexpr std::uint64_t kNoDevices = 0x4;
inline constexpr std::uint64_t kNoExec = 0x8;

/// A mount that is attached nowhere, owned through its descriptor: it disappears with the last
/// descriptor unless it was moved into a namespace.
class DetachedMount {
 public:
  DetachedMount() = default;
  explicit DetachedMount(base::FileDescriptor fd) : fd_(std::move(fd)) {}

  int fd() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
  base::FileDescriptor take() && noexcept { return std::move(fd_); }

  /// Adds restrictions and makes the mount private. Throws Error(unsupported) where the kernel or a
  /// seccomp filter around us does not know mount_setattr, else Error(system).
  void restrict_to(std::uint64_t attributes, std::string_view subject) const;
  /// Lets device nodes work, and makes the mount private. Throws Error(system).
  void allow_devices(std::string_view subject) const;

 private:
  base::FileDescriptor fd_;
};

/// A fresh file system: fsopen, one fsconfig per option, fsmount; or mount(2) in a thread with a
/// mount namespace of its own where those calls are unknown. An option without a value is a flag.
/// Throws Error(system), with the kernel's own explanation where it gives one.
DetachedMount make_filesystem(const std::string& type,
                              const std::vector<std::pair<std::string, std::string>>& options,
                              std::uint64_t attributes);

/// A copy of the mount or the file behind `fd` (O_PATH), without what is mounted below it. Kernels
/// before 6.15 cannot copy what is detached: then the result is the same mount again, and is gone
/// from `fd`'s owner once it is moved. Throws Error(unsupported) without open_tree, else
/// Error(system).
DetachedMount clone_mount(int fd, std::string_view subject);

/// A copy of what is at `fd` and of everything mounted below it, all of it restricted and private.
/// Throws Error(system).
DetachedMount clone_tree(int fd, std::uint64_t attributes, std::string_view subject);

/// The same as clone_mount() for a path of the host.
DetachedMount clone_host_mount(const std::string& path);

// The system calls, for code that may neither allocate nor throw: they return -errno.
int sys_open_tree(int directory, const char* path, unsigned flags) noexcept;
int sys_move_mount(int from, const char* from_path, int to, const char* to_path) noexcept;
int sys_mount_setattr(int fd, std::uint64_t attributes) noexcept;
int sys_make_filesystem(const char* type, std::uint64_t attributes) noexcept;  // no options
/// The same, by mount(2) where fsopen is unknown. Only in a mount namespace of the caller's own
/// that is private: for a moment the file system lies over a directory of it.
int sys_make_filesystem_in_namespace(const char* type, std::uint64_t attributes) noexcept;

}  // namespace strake::sandbox
