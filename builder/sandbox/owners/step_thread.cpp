#include "builder/sandbox/owners/step_thread.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

using base::FileDescriptor;

FileDescriptor open_directory(int start, const char* path) noexcept {
  return FileDescriptor(::openat(start, path, O_PATH | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

StepPaths::StepPaths() : proc_(open_directory(AT_FDCWD, "/proc")) {
  if (!proc_) throw base::system_error(errno, "open", "/proc");
  if (::unshare(CLONE_FS) != 0) throw base::system_error(errno, "take apart", "working directory");
  own_descriptors_ = open_directory(proc_.get(), "self/fd");
  if (!own_descriptors_ || ::fchdir(own_descriptors_.get()) != 0)
    throw base::system_error(errno, "enter", "/proc/self/fd");
}

int StepPaths::enter_root_of(pid_t thread) noexcept {
  if (has_root_ && !roots_may_differ_) return 0;
  char name[32];
  std::snprintf(name, sizeof name, "%d/root", static_cast<int>(thread));
  const FileDescriptor root = open_directory(proc_.get(), name);
  if (!root) return errno;
  const bool entered = ::fchdir(root.get()) == 0 && ::chroot(".") == 0;
  const int error = entered ? 0 : errno;
  if (::fchdir(own_descriptors_.get()) != 0) return errno;
  has_root_ = entered;
  return error;
}

DescriptorName::DescriptorName(int fd) noexcept {
  std::snprintf(text_, sizeof text_, "%d", fd);
}

int StepThread::read(std::uint64_t address, std::span<std::byte> to) const noexcept {
  const iovec local{to.data(), to.size()};
  const iovec remote{reinterpret_cast<void*>(address), to.size()};
  const ssize_t count = ::process_vm_readv(id_, &local, 1, &remote, 1, 0);
  if (count < 0) return errno;
  return static_cast<std::size_t>(count) == to.size() ? 0 : EFAULT;
}

int StepThread::write(std::uint64_t address, std::span<const std::byte> from) const noexcept {
  const iovec local{const_cast<std::byte*>(from.data()), from.size()};
  const iovec remote{reinterpret_cast<void*>(address), from.size()};
  const ssize_t count = ::process_vm_writev(id_, &local, 1, &remote, 1, 0);
  if (count < 0) return errno;
  return static_cast<std::size_t>(count) == from.size() ? 0 : EFAULT;
}

int StepThread::read_path(std::uint64_t address, std::string& path) const {
  // What lies behind the string may not be there, so not over the end of a page at once.
  constexpr std::size_t kPageBytes = 4096;
  std::array<char, PATH_MAX> text;
  std::size_t size = 0;
  while (size < text.size()) {
    const std::uint64_t from = address + size;
    const std::size_t piece =
        std::min(text.size() - size, kPageBytes - static_cast<std::size_t>(from % kPageBytes));
    const auto place = std::span(text).subspan(size, piece);
    if (const int error = read(from, std::as_writable_bytes(place)); error != 0) return error;
    const std::size_t length = ::strnlen(place.data(), piece);
    size += length;
    if (length == piece) continue;
    path.assign(text.data(), size);
    return 0;
  }
  return ENAMETOOLONG;
}

/// A link of /proc/<thread>.
int StepThread::open_own(const char* what, FileDescriptor& file) const noexcept {
  char name[48];
  std::snprintf(name, sizeof name, "%d/%s", static_cast<int>(id_), what);
  file = FileDescriptor(::openat(paths_.proc(), name, O_PATH | O_CLOEXEC));
  return file ? 0 : errno;
}

int StepThread::open_descriptor(int descriptor, FileDescriptor& file) const noexcept {
  if (descriptor == AT_FDCWD) return open_own("cwd", file);
  char name[24];
  std::snprintf(name, sizeof name, "fd/%d", descriptor);
  const int error = open_own(name, file);
  return error == ENOENT ? EBADF : error;
}

/// Absolute paths need none.
int StepThread::open_start(int directory, const std::string& path, FileDescriptor& start) const {
  return path.starts_with('/') ? 0 : open_descriptor(directory, start);
}

int StepThread::open(int directory, const std::string& path, LastSymlink symlink,
                     FileDescriptor& file) const {
  FileDescriptor start;
  if (const int error = open_start(directory, path, start); error != 0) return error;
  return open_path(start.get(), path.c_str(), symlink == LastSymlink::keep ? O_NOFOLLOW : 0, file);
}

int StepThread::open_own_descriptor(int directory, const std::string& path,
                                    FileDescriptor& file) const {
  std::array<char, 64> target;
  std::string_view name = path;
  if (FileDescriptor link; open(directory, path, LastSymlink::keep, link) == 0) {
    const ssize_t size = ::readlinkat(link.get(), "", target.data(), target.size());
    if (size > 0) name = std::string_view(target.data(), static_cast<std::size_t>(size));
  }
  for (const std::string_view folder : {"/proc/self/fd/", "/dev/fd/"}) {
    int descriptor = -1;
    if (!name.starts_with(folder)) continue;
    const char* end = name.data() + name.size();
    const auto parsed = std::from_chars(name.data() + folder.size(), end, descriptor);
    if (parsed.ptr == end && descriptor >= 0) return open_descriptor(descriptor, file);
  }
  return ENOENT;
}

int StepThread::open_parent(int directory, const std::string& path, FileDescriptor& parent,
                            std::string& name) const {
  std::string_view rest = path;
  while (rest.ends_with('/')) rest.remove_suffix(1);
  const std::size_t slash = rest.rfind('/') + 1;  // 0 without one
  name = rest.substr(slash);
  if (name.empty() || name == "." || name == "..") return EINVAL;
  FileDescriptor start;
  if (const int error = open_start(directory, path, start); error != 0) return error;
  const std::string above(slash == 0 ? "." : rest.substr(0, slash));
  return open_path(start.get(), above.c_str(), O_DIRECTORY, parent);
}

std::string StepThread::status_field(const char* name) const {
  char path[32];
  std::snprintf(path, sizeof path, "%d/status", static_cast<int>(id_));
  const FileDescriptor file(::openat(paths_.proc(), path, O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> text;
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  if (size <= 0) return "";
  const std::string_view status(text.data(), static_cast<std::size_t>(size));
  const std::string key = std::string("\n") + name + ":\t";
  const std::size_t at = status.find(key);
  if (at == std::string_view::npos) return "";
  const std::string_view value = status.substr(at + key.size());
  return std::string(value.substr(0, value.find('\n')));
}

void StepThread::take_umask() const {
  const std::string field = status_field("Umask");
  if (!field.empty()) ::umask(static_cast<mode_t>(std::strtoul(field.c_str(), nullptr, 8)));
}

bool StepThread::has_no_new_privileges() const {
  return status_field("NoNewPrivs") == "1";
}

bool StepThread::is_root() const noexcept {
  char path[16];
  std::snprintf(path, sizeof path, "%d", static_cast<int>(id_));
  struct ::stat status;
  return ::fstatat(paths_.proc(), path, &status, 0) == 0 && status.st_uid == 0;
}

int open_path(int start, const char* path, int flags, FileDescriptor& file) noexcept {
  // The links in /proc lead the builder where they lead the step, but there is no need to go there.
  struct open_how how {};
  how.flags = static_cast<std::uint64_t>(O_PATH | O_CLOEXEC | flags);
  how.resolve = RESOLVE_NO_MAGICLINKS;
  long fd = ::syscall(SYS_openat2, start, path, &how, sizeof how);
  if (fd < 0 && (errno == ENOSYS || errno == EPERM))
    fd = ::openat(start, path, O_PATH | O_CLOEXEC | flags);
  file = FileDescriptor(static_cast<int>(fd));
  return file ? 0 : errno;
}

}  // namespace strake::sandbox
