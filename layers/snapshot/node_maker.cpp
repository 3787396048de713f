#include "layers/snapshot/node_maker.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {

constexpr const char* kWhiteoutXattr = "user.overlay.whiteout";

mode_t device_type(EntryType type) {
  return type == EntryType::block_device ? S_IFBLK : S_IFCHR;
}

/// The times of utimensat: access time untouched.
struct Times {
  explicit Times(struct timespec mtime) : values{{0, UTIME_OMIT}, mtime} {}
  struct timespec values[2];
};

/// Stands for a device that this process may not make.
int create_placeholder(int parent, const std::string& name, const TarEntry& entry) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const FileDescriptor file(::openat(parent, name.c_str(), kFlags, 0600));
  if (!file) return errno;
  return base::record_owner(base::DescriptorPath(file.get()).c_str(), S_IFREG,
                            {.uid = 0,
                             .gid = 0,
                             .mode = device_type(entry.type) | static_cast<mode_t>(entry.mode),
                             .device_major = entry.device_major,
                             .device_minor = entry.device_minor});
}

void warn_about_missing_xattrs(const std::string& name) {
  static std::atomic_flag warned;
  if (!warned.test_and_set())
    base::log_warning("the file system of the store cannot keep the attribute " +
                      base::quoted(name) + ", and maybe others: they are left out");
}

}  // namespace

NodeMaker::NodeMaker(XattrNamespace xattrs, bool fresh_tree)
    : xattrs_(xattrs), fresh_tree_(fresh_tree), uid_(::geteuid()), gid_(::getegid()) {}

FileDescriptor NodeMaker::create_file(int parent, const std::string& name) const noexcept {
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  return FileDescriptor(::openat(parent, name.c_str(), kFlags, 0600));
}

FileDescriptor NodeMaker::create_file(int parent, const std::string& name, const TarEntry& entry) {
  if (!needs_only_mode_and_time(entry)) return create_file(parent, name);
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  FileDescriptor file(::openat(parent, name.c_str(), kFlags, entry.mode));
  Created& created = created_files_[entry.mode];
  if (!file || created != Created::untried) return file;
  struct ::stat status;
  if (::fstat(file.get(), &status) != 0) throw system_error(errno, "look at", entry.path);
  created = (status.st_mode & 07777) == entry.mode ? Created::with_the_mode : Created::with_another;
  return file;
}

/// With attributes or another owner it must stay writable, and nobody else's, until it has them.
bool NodeMaker::needs_only_mode_and_time(const TarEntry& entry) const noexcept {
  return fresh_tree_ && entry.uid == uid_ && entry.gid == gid_ && entry.xattrs.empty() &&
         entry.mode <= 0777;
}

int NodeMaker::create_directory(int parent, const std::string& name, const TarEntry& entry,
                                bool& has_mode) {
  has_mode = false;
  const bool ours_to_fill = (entry.mode & 0700) == 0700;
  if (!ours_to_fill || !needs_only_mode_and_time(entry)) return create_other(parent, name, entry);
  Created& created = created_directories_[entry.mode];
  if (created == Created::with_another) return create_other(parent, name, entry);
  if (::mkdirat(parent, name.c_str(), entry.mode) != 0) return errno;
  if (created == Created::untried) {
    struct ::stat status;
    if (::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return errno;
    created =
        (status.st_mode & 07777) == entry.mode ? Created::with_the_mode : Created::with_another;
  }
  has_mode = created == Created::with_the_mode;
  return 0;
}

int NodeMaker::create_other(int parent, const std::string& name, const TarEntry& entry) const {
  int result = -1;
  switch (entry.type) {
    case EntryType::directory:
      result = ::mkdirat(parent, name.c_str(), 0700);
      break;
    case EntryType::symlink:
      result = ::symlinkat(entry.link_target.c_str(), parent, name.c_str());
      break;
    case EntryType::fifo:
      result = ::mkfifoat(parent, name.c_str(), 0600);
      break;
    case EntryType::character_device:
    case EntryType::block_device:
      result = ::mknodat(parent, name.c_str(), device_type(entry.type) | 0600,
                         ::makedev(entry.device_major, entry.device_minor));
      if (result != 0 && errno == EPERM && xattrs_ == XattrNamespace::user)
        return create_placeholder(parent, name, entry);
      break;
    case EntryType::file:
    case EntryType::hardlink:
      return EINVAL;
  }
  return result == 0 ? 0 : errno;
}

void NodeMaker::set_owner(int file, mode_t type, const TarEntry& entry) const {
  if (fresh_tree_ && entry.uid == uid_ && entry.gid == gid_) return;
  give_owner(file, type, entry);
}

void NodeMaker::give_owner(int file, mode_t type, const TarEntry& entry) const {
  int error = 0;
  if (xattrs_ == XattrNamespace::user)
    error = base::give_or_record_owner(file, type, entry.uid, entry.gid);
  else if (::fchownat(file, "", entry.uid, entry.gid, AT_EMPTY_PATH) != 0)
    error = errno;
  if (error != 0) throw system_error(error, "change the owner of", entry.path);
}

void NodeMaker::set_xattrs(int file, const TarEntry& entry) {
  for (const auto& [name, value] : entry.xattrs) {
    if (!is_layer_xattr(name, value)) {
      ++dropped_xattrs_;
    } else if (::fsetxattr(file, name.c_str(), value.data(), value.size(), 0) != 0) {
      if (errno != EOPNOTSUPP)
        throw system_error(errno, "set attribute " + base::quoted(name) + " of", entry.path);
      ++dropped_xattrs_;
      warn_about_missing_xattrs(name);
    }
  }
}

// Attributes go before the mode: without CAP_DAC_OVERRIDE a read-only file takes none.
void NodeMaker::set_file_metadata(int file, const TarEntry& entry) {
  set_owner(file, S_IFREG, entry);
  set_xattrs(file, entry);
  if (::fchmod(file, entry.mode) != 0) throw system_error(errno, "change the mode of", entry.path);
  if (::futimens(file, Times(entry.mtime).values) != 0)
    throw system_error(errno, "set the time of", entry.path);
}

void NodeMaker::finish_file(int file, const TarEntry& entry) {
  if (!needs_only_mode_and_time(entry) || created_files_[entry.mode] != Created::with_the_mode)
    return set_file_metadata(file, entry);
  if (::futimens(file, Times(entry.mtime).values) != 0)
    throw system_error(errno, "set the time of", entry.path);
}

void NodeMaker::set_link_metadata(int parent, const std::string& name,
                                  const TarEntry& entry) const {
  const base::FileDescriptor file(
      ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct ::stat status;
  if (!file || ::fstat(file.get(), &status) != 0) throw system_error(errno, "open", entry.path);
  if (xattrs_ == XattrNamespace::user)
    if (const auto owner =
            base::read_recorded_owner(base::DescriptorPath(file.get()).c_str(), S_IFREG))
      base::apply_recorded_owner(*owner, status);
  // Changing the owner takes capabilities away, so it is only done where it makes a difference.
  if (status.st_uid != entry.uid || status.st_gid != entry.gid)
    give_owner(file.get(), S_IFREG, entry);
  if (::fchmod(file.get(), entry.mode) != 0)
    throw system_error(errno, "change the mode of", entry.path);
  if (::futimens(file.get(), Times(entry.mtime).values) != 0)
    throw system_error(errno, "set the time of", entry.path);
}

void NodeMaker::set_other_metadata(int parent, const std::string& name,
                                   const TarEntry& entry) const {
  if (!fresh_tree_ || entry.uid != uid_ || entry.gid != gid_) {
    const FileDescriptor file(::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct ::stat status;
    if (!file || ::fstat(file.get(), &status) != 0) throw system_error(errno, "open", entry.path);
    give_owner(file.get(), status.st_mode, entry);
  }
  // Links have no mode, and following one would change another file's.
  if (entry.type != EntryType::symlink && ::fchmodat(parent, name.c_str(), entry.mode, 0) != 0)
    throw system_error(errno, "change the mode of", entry.path);
  if (::utimensat(parent, name.c_str(), Times(entry.mtime).values, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "set the time of", entry.path);
}

void NodeMaker::set_directory_metadata(int directory, const TarEntry& entry) {
  set_owner(directory, S_IFDIR, entry);
  set_xattrs(directory, entry);
}

void NodeMaker::finish_directory(int directory, const std::string& path, std::uint32_t mode,
                                 struct timespec mtime) const {
  if (::fchmod(directory, mode) != 0) throw system_error(errno, "change the mode of", path);
  if (::futimens(directory, Times(mtime).values) != 0)
    throw system_error(errno, "set the time of", path);
}

void NodeMaker::set_directory_time(int parent, const std::string& name, const std::string& path,
                                   struct timespec mtime) const {
  if (::utimensat(parent, name.c_str(), Times(mtime).values, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "set the time of", path);
}

void NodeMaker::make_opaque(int directory, const std::string& path) const {
  if (::fsetxattr(directory, opaque_xattr(xattrs_), "y", 1, 0) != 0)
    throw system_error(errno, "make opaque", path);
}

bool is_whiteout(int parent, const char* name, const struct ::stat& status) noexcept {
  if (is_whiteout(status)) return true;
  if (!S_ISREG(status.st_mode) || status.st_size != 0) return false;
  const FileDescriptor file(::openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  return file && ::fgetxattr(file.get(), kWhiteoutXattr, nullptr, 0) >= 0;
}

// Overlayfs lets nobody make a whiteout through it: a store in a container is often on one.
int create_whiteout(int parent, const std::string& name) noexcept {
  if (::mknodat(parent, name.c_str(), S_IFCHR, ::makedev(0, 0)) == 0) return 0;
  if (errno != EPERM) return errno;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  const FileDescriptor file(::openat(parent, name.c_str(), kFlags, 0400));
  if (!file) return errno;
  if (::fsetxattr(file.get(), kWhiteoutXattr, "y", 1, 0) == 0 &&
      ::fsetxattr(parent, kWhiteoutsXattr, "y", 1, 0) == 0)
    return 0;
  const int error = errno;
  ::unlinkat(parent, name.c_str(), 0);
  return error;
}

}  // namespace strake::layers
