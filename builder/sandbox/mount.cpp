#include "builder/sandbox/mount.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "builder/sandbox/sandbox.h"
#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

constexpr std::uint64_t kPrivatePropagation = 1 << 18;  // MS_PRIVATE

int result_or_errno(long result) noexcept {
  return result < 0 ? -errno : static_cast<int>(result);
}

/// The kernel's last message about a file system context, "e Unknown parameter" without its level.
std::string explanation(int context) {
  std::array<char, 512> message;
  const ssize_t length = ::read(context, message.data(), message.size());
  if (length <= 2) return "";
  return ": " + std::string(message.data() + 2, static_cast<std::size_t>(length - 2));
}

void configure(int context, const std::string& type,
               const std::pair<std::string, std::string>& option) {
  const auto& [key, value] = option;
  const long result =
      value.empty()
          ? ::syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
          : ::syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
  if (result != 0)
    throw base::system_error(errno, "set option \"" + key + "\" of", type + explanation(context));
}

DetachedMount owned(int fd, std::string_view operation, std::string_view subject) {
  if (fd < 0) throw base::system_error(-fd, operation, subject);
  return DetachedMount(base::FileDescriptor(fd));
}

}  // namespace

void DetachedMount::restrict_to(std::uint64_t attributes, std::string_view subject) const {
  const int result = sys_mount_setattr(fd(), attributes);
  if (result < 0) throw base::system_error(-result, "restrict mount of", subject);
}

void DetachedMount::allow_devices(std::string_view subject) const {
  struct mount_attr change {};
  change.attr_clr = kNoDevices;
  change.propagation = kPrivatePropagation;
  if (::syscall(SYS_mount_setattr, fd(), "", AT_EMPTY_PATH, &change, sizeof change) != 0)
    throw base::system_error(errno, "allow devices on", subject);
}

DetachedMount make_filesystem(const std::string& type,
                              const std::vector<std::pair<std::string, std::string>>& options,
                              std::uint64_t attributes) {
  const base::FileDescriptor context(
      static_cast<int>(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC)));
  if (!context) throw base::system_error(errno, "create file system", type);
  for (const auto& option : options) configure(context.get(), type, option);
  if (::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    throw base::system_error(errno, "create file system", type + explanation(context.get()));
  return owned(result_or_errno(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes)),
               "mount", type);
}

DetachedMount clone_mount(int fd, std::string_view subject) {
  const int clone = sys_open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE);
  if (clone != -EINVAL) return owned(clone, "bind", subject);
  return owned(result_or_errno(::fcntl(fd, F_DUPFD_CLOEXEC, 3)), "bind", subject);
}

std::optional<base::FileDescriptor> clone_part(int fd) {
  const int clone = sys_open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE);
  if (clone == -EINVAL) return std::nullopt;
  return owned(clone, "bind", "source of a mount").take();
}

DetachedMount clone_host_mount(const std::string& path) {
  return owned(sys_open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLONE), "bind", path);
}

int sys_open_tree(int directory, const char* path, unsigned flags) noexcept {
  return result_or_errno(::syscall(SYS_open_tree, directory, path, flags | OPEN_TREE_CLOEXEC));
}

int sys_move_mount(int from, const char* from_path, int to, const char* to_path) noexcept {
  return result_or_errno(::syscall(SYS_move_mount, from, from_path, to, to_path,
                                   MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int sys_mount_setattr(int fd, std::uint64_t attributes) noexcept {
  struct mount_attr change {};
  change.attr_set = attributes;
  change.propagation = kPrivatePropagation;
  return result_or_errno(
      ::syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &change, sizeof change));
}

int sys_make_filesystem(const char* type, std::uint64_t attributes) noexcept {
  const int context = result_or_errno(::syscall(SYS_fsopen, type, FSOPEN_CLOEXEC));
  if (context < 0) return context;
  int mount =
      result_or_errno(::syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
  if (mount >= 0)
    mount = result_or_errno(::syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes));
  ::close(context);
  return mount;
}

}  // namespace strake::sandbox
