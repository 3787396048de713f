// Owners, modes, times and attributes of what is in a RootedDirectory.

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>

#include "layers/base/entry_place.h"
#include "layers/base/error.h"
#include "layers/base/recorded_owner.h"
#include "layers/base/rooted_directory.h"

namespace strake::base {
namespace {

/// The name under which the kernel takes a descriptor as a path: what is opened is the file itself,
/// a symlink too, and O_PATH descriptors will do where the f*() calls refuse them.
std::string path_of_descriptor(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

bool means_unsupported(int error) {
  return error == ENOTSUP || error == EOPNOTSUPP;
}

/// Calls `get(buffer, size)`, an xattr call, with a buffer that is large enough. Returns -errno if
/// it fails.
template <typename Get>
int read_growing(std::string& value, const Get& get) {
  // What most values, and most files' lists of names, fit into needs no memory of its own.
  std::array<char, 256> small;
  if (const ssize_t size = get(small.data(), small.size()); size >= 0) {
    value.assign(small.data(), static_cast<std::size_t>(size));
    return 0;
  }
  if (errno != ERANGE) return -errno;
  value.resize(1024);
  while (true) {
    const ssize_t size = get(value.data(), value.size());
    if (size >= 0) {
      value.resize(static_cast<std::size_t>(size));
      return 0;
    }
    if (errno != ERANGE) return -errno;
    const ssize_t needed = get(nullptr, 0);
    if (needed < 0) return -errno;
    // It may grow between two calls, so a little more than needed.
    value.resize(static_cast<std::size_t>(needed) + 256);
  }
}

int list_names(int fd, std::string& names) {
  const int error = read_growing(
      names, [fd](char* buffer, std::size_t size) { return ::flistxattr(fd, buffer, size); });
  if (error != -EBADF) return error;
  const std::string path = path_of_descriptor(fd);
  return read_growing(names, [&](char* buffer, std::size_t size) {
    return ::listxattr(path.c_str(), buffer, size);
  });
}

#ifndef SYS_listxattrat
constexpr long kListxattrat = 465;  // the same on every architecture but alpha
#else
constexpr long kListxattrat = SYS_listxattrat;
#endif

/// Whether the entry has attributes, as far as one call can say: true may be wrong.
bool may_have_xattrs(int directory, const char* name) {
  // Filters of containers may refuse what they do not know.
  static std::atomic<bool> available{true};
  if (available.load(std::memory_order_relaxed)) {
    const long size =
        ::syscall(kListxattrat, directory, name, AT_SYMLINK_NOFOLLOW, nullptr, std::size_t{0});
    if (size >= 0 || (errno != ENOSYS && errno != EPERM)) return size != 0;
    available.store(false, std::memory_order_relaxed);
  }
  return ::llistxattr((path_of_descriptor(directory) + "/" + name).c_str(), nullptr, 0) != 0;
}

int read_value(int fd, const char* name, std::string& value) {
  const int error = read_growing(
      value, [&](char* buffer, std::size_t size) { return ::fgetxattr(fd, name, buffer, size); });
  if (error != -EBADF) return error;
  const std::string path = path_of_descriptor(fd);
  return read_growing(value, [&](char* buffer, std::size_t size) {
    return ::getxattr(path.c_str(), name, buffer, size);
  });
}

#ifndef SYS_fchmodat2
constexpr long kFchmodat2 = 452;  // the same on every architecture
#else
constexpr long kFchmodat2 = SYS_fchmodat2;
#endif

int change_mode(int directory, const char* name, mode_t mode) {
  if (::syscall(kFchmodat2, directory, name, mode, AT_SYMLINK_NOFOLLOW) == 0) return 0;
  if (errno != ENOSYS && errno != EPERM) return -errno;
  // Before Linux 6.6, or filtered away. The C library goes by /proc/self/fd.
  return ::fchmodat(directory, name, mode, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

}  // namespace

void RootedDirectory::set_owner(std::string_view path, uid_t uid, gid_t gid) const {
  const EntryPlace place = place_of(path, "change the owner of");
  if (owners_ == Owners::recorded) {
    const FileDescriptor file(
        ::openat(place.directory(), place.name(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct ::stat status;
    if (!file || ::fstat(file.get(), &status) != 0) check(-errno, "change the owner of", path);
    check(-give_or_record_owner(file.get(), status.st_mode, uid, gid), "change the owner of", path);
  } else if (::fchownat(place.directory(), place.name(), uid, gid, AT_SYMLINK_NOFOLLOW) != 0)
    check(-errno, "change the owner of", path);
}

void RootedDirectory::set_mode(std::string_view path, mode_t mode) const {
  const EntryPlace place = place_of(path, "change the mode of");
  check(change_mode(place.directory(), place.name(), mode & 07777), "change the mode of", path);
}

void RootedDirectory::set_mtime(std::string_view path, struct timespec mtime) const {
  const EntryPlace place = place_of(path, "change the time of");
  struct timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, mtime};
  if (::utimensat(place.directory(), place.name(), times, AT_SYMLINK_NOFOLLOW) != 0)
    check(-errno, "change the time of", path);
}

std::vector<Xattr> RootedDirectory::xattrs(std::string_view path) const {
  const EntryPlace place = place_of(path, "read the attributes of");
  const FileDescriptor file(
      ::openat(place.directory(), place.name(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file) check(-errno, "read the attributes of", path);
  std::vector<Xattr> attributes = xattrs_of(file.get(), shown(path));
  if (owners_ == Owners::recorded) {
    // On what is no regular file, file capabilities are a record too.
    struct ::stat status;
    const bool may_have_capabilities =
        ::fstat(file.get(), &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
    std::erase_if(attributes, [&](const Xattr& attribute) {
      return attribute.first == kOwnerXattr ||
             (attribute.first == "security.capability" && !may_have_capabilities);
    });
  }
  return attributes;
}

void RootedDirectory::set_xattr(std::string_view path, const std::string& name,
                                std::string_view value) const {
  const EntryPlace place = place_of(path, "set an attribute of");
  const FileDescriptor file(
      ::openat(place.directory(), place.name(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file) check(-errno, "set an attribute of", path);
  if (::setxattr(path_of_descriptor(file.get()).c_str(), name.c_str(), value.data(), value.size(),
                 0) != 0)
    throw system_error(errno, "set attribute " + base::quoted(name) + " of", shown(path));
}

std::vector<Xattr> xattrs_of(int fd, std::string_view subject) {
  std::string names;
  const int error = list_names(fd, names);
  if (means_unsupported(-error)) return {};
  if (error != 0) throw system_error(-error, "read the attributes of", subject);
  std::vector<Xattr> attributes;
  for (std::size_t at = 0; at < names.size(); at += attributes.back().first.size() + 1) {
    attributes.emplace_back(names.c_str() + at, "");
  }
  const auto unreadable = [&](Xattr& attribute) {
    const int result = read_value(fd, attribute.first.c_str(), attribute.second);
    // ENODATA: removed since it was listed.
    if (result != 0 && result != -ENODATA && !means_unsupported(-result))
      throw system_error(-result, "read attribute " + base::quoted(attribute.first) + " of",
                         subject);
    return result != 0;
  };
  attributes.erase(std::remove_if(attributes.begin(), attributes.end(), unreadable),
                   attributes.end());
  std::sort(attributes.begin(), attributes.end());
  return attributes;
}

std::vector<Xattr> xattrs_at(int directory, const char* name, std::string_view subject) {
  if (!may_have_xattrs(directory, name)) return {};
  const FileDescriptor file(::openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!file) throw system_error(errno, "open", subject);
  return xattrs_of(file.get(), subject);
}

}  // namespace strake::base
