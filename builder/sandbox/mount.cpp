#include "builder/sandbox/mount.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

#include "builder/sandbox/sandbox.h"
#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

constexpr std::uint64_t kPrivatePropagation = 1 << 18;  // MS_PRIVATE

// A directory that every root has; what lies over it in a private mount namespace disturbs nobody.
constexpr const char* kMountPlace = "/dev";

// The attributes have the same values in mount(2).
static_assert(kReadOnly == MS_RDONLY && kNoSuid == MS_NOSUID && kNoDevices == MS_NODEV &&
              kNoExec == MS_NOEXEC);

int result_or_errno(long result) noexcept {
  return result < 0 ? -errno : static_cast<int>(result);
}

using Options = std::vector<std::pair<std::string, std::string>>;

/// The kernel's last message about a file system context, "e Unknown parameter" without its level.
std::string explanation(int context) {
  std::array<char, 512> message;
  const ssize_t length = ::read(context, message.data(), message.size());
  if (length <= 2) return "";
  return ": " + std::string(message.data() + 2, static_cast<std::size_t>(length - 2));
}

/// A detached mount, or why there is none.
struct Attempt {
  base::FileDescriptor mount;
  int error = 0;
  std::string explanation = "";
};

Attempt make_by_context(const std::string& type, const Options& options, std::uint64_t attributes) {
  const base::FileDescriptor context(
      static_cast<int>(::syscall(SYS_fsopen, type.c_str(), FSOPEN_CLOEXEC)));
  if (!context) return {{}, errno};
  const auto configured = [&](unsigned command, const char* key, const char* value) {
    return ::syscall(SYS_fsconfig, context.get(), command, key, value, 0) == 0;
  };
  for (const auto& [key, value] : options) {
    const bool set = value.empty() ? configured(FSCONFIG_SET_FLAG, key.c_str(), nullptr)
                                   : configured(FSCONFIG_SET_STRING, key.c_str(), value.c_str());
    if (!set) return {{}, errno, " (option \"" + key + "\")" + explanation(context.get())};
  }
  if (!configured(FSCONFIG_CMD_CREATE, nullptr, nullptr))
    return {{}, errno, explanation(context.get())};
  base::FileDescriptor mount(
      static_cast<int>(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, attributes)));
  const int error = mount ? 0 : errno;
  return {std::move(mount), error};
}

std::string option_text(const Options& options) {
  std::string text;
  for (const auto& [key, value] : options)
    text.append(text.empty() ? "" : ",").append(key).append(value.empty() ? "" : "=").append(value);
  return text;
}

/// In a mount namespace of the caller's own: the file system lies over a directory of it only until
/// a copy, attached nowhere, has been taken.
int mount_and_take(const char* type, const char* options, std::uint64_t attributes) noexcept {
  if (::mount(type, kMountPlace, type, attributes, options) != 0) return -errno;
  const int copy = sys_open_tree(AT_FDCWD, kMountPlace, OPEN_TREE_CLONE);
  ::umount2(kMountPlace, MNT_DETACH);
  return copy;
}

/// With mount(2), in a thread of its own: its mount namespace ends with it.
Attempt make_by_mount(const std::string& type, const Options& options, std::uint64_t attributes) {
  const std::string text = option_text(options);
  int result = 0;
  std::thread([&] {
    if (::unshare(CLONE_FS | CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      result = -errno;
    else
      result = mount_and_take(type.c_str(), text.c_str(), attributes);
  }).join();
  if (result < 0) return {{}, -result};
  return {base::FileDescriptor(result)};
}

/// What a kernel, or the seccomp filter of a container around us, answers that does not know a
/// call.
bool may_be_unknown(int error) noexcept {
  return error == ENOSYS || error == EPERM;
}

/// There is no doing without open_tree, move_mount and mount_setattr.
base::Error mount_error(int error, std::string_view operation, std::string_view subject) {
  base::Error result = base::system_error(error, operation, subject);
  if (!may_be_unknown(error)) return result;
  base::Error unsupported(base::ErrorCode::unsupported, result.what());
  unsupported.set_hint(
      "use Linux 5.12 or later and, in a container, a seccomp profile that allows open_tree, "
      "move_mount and mount_setattr; or build with --isolation=chroot");
  return unsupported;
}

DetachedMount owned(int fd, std::string_view operation, std::string_view subject) {
  if (fd < 0) throw mount_error(-fd, operation, subject);
  return DetachedMount(base::FileDescriptor(fd));
}

}  // namespace

void DetachedMount::restrict_to(std::uint64_t attributes, std::string_view subject) const {
  const int result = sys_mount_setattr(fd(), attributes);
  if (result < 0) throw mount_error(-result, "restrict mount of", subject);
}

void DetachedMount::allow_devices(std::string_view subject) const {
  struct mount_attr change {};
  change.attr_clr = kNoDevices;
  change.propagation = kPrivatePropagation;
  if (::syscall(SYS_mount_setattr, fd(), "", AT_EMPTY_PATH, &change, sizeof change) != 0)
    throw mount_error(errno, "allow devices on", subject);
}

DetachedMount make_filesystem(const std::string& type, const Options& options,
                              std::uint64_t attributes) {
  Attempt attempt = make_by_context(type, options, attributes);
  if (may_be_unknown(attempt.error)) {
    Attempt second = make_by_mount(type, options, attributes);
    if (second.mount || attempt.error == ENOSYS) attempt = std::move(second);
  }
  if (!attempt.mount)
    throw base::system_error(attempt.error, "create file system", type + attempt.explanation);
  return DetachedMount(std::move(attempt.mount));
}

DetachedMount clone_mount(int fd, std::string_view subject) {
  const int clone = sys_open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE);
  if (clone != -EINVAL) return owned(clone, "bind", subject);
  return owned(result_or_errno(::fcntl(fd, F_DUPFD_CLOEXEC, 3)), "bind", subject);
}

DetachedMount clone_tree(int fd, std::uint64_t attributes, std::string_view subject) {
  DetachedMount tree =
      owned(sys_open_tree(fd, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE), "bind", subject);
  struct mount_attr change {};
  change.attr_set = attributes;
  change.propagation = kPrivatePropagation;
  if (::syscall(SYS_mount_setattr, tree.fd(), "", AT_EMPTY_PATH | AT_RECURSIVE, &change,
                sizeof change) != 0)
    throw base::system_error(errno, "restrict mount of", subject);
  return tree;
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

int sys_make_filesystem_in_namespace(const char* type, std::uint64_t attributes) noexcept {
  const int mount = sys_make_filesystem(type, attributes);
  return may_be_unknown(-mount) ? mount_and_take(type, "", attributes) : mount;
}

}  // namespace strake::sandbox
