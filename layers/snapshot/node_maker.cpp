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

mode_t device_type(EntryType type) {
  return type == EntryType::block_device ? S_IFBLK : S_IFCHR;
}

/// Neither is a failure of ours: EINVAL is an id that the user namespace does not map.
bool may_not_give_owner(int error) {
  return error == EPERM || error == EINVAL;
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
  const std::string value =
      to_string({.uid = entry.uid,
                 .gid = entry.gid,
                 .mode = device_type(entry.type) | static_cast<mode_t>(entry.mode),
                 .device_major = entry.device_major,
                 .device_minor = entry.device_minor});
  const int result = ::fsetxattr(file.get(), kOwnerXattr, value.data(), value.size(), 0);
  return result == 0 ? 0 : errno;
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

void NodeMaker::set_owner(int file, const TarEntry& entry) const {
  if (fresh_tree_ && entry.uid == uid_ && entry.gid == gid_) return;
  give_owner(file, entry);
}

void NodeMaker::give_owner(int file, const TarEntry& entry) const {
  if (::fchown(file, entry.uid, entry.gid) == 0) return;
  if (xattrs_ != XattrNamespace::user || !may_not_give_owner(errno))
    throw system_error(errno, "change the owner of", entry.path);
  const std::string value = to_string({.uid = entry.uid, .gid = entry.gid});
  if (::fsetxattr(file, kOwnerXattr, value.data(), value.size(), 0) != 0)
    throw system_error(errno, "record the owner of", entry.path);
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
  set_owner(file, entry);
  set_xattrs(file, entry);
  if (::fchmod(file, entry.mode) != 0) throw system_error(errno, "change the mode of", entry.path);
  if (::futimens(file, Times(entry.mtime).values) != 0)
    throw system_error(errno, "set the time of", entry.path);
}

void NodeMaker::set_link_metadata(int parent, const std::string& name,
                                  const TarEntry& entry) const {
  const base::FileDescriptor file(
      ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct ::stat status;
  if (!file || ::fstat(file.get(), &status) != 0) throw system_error(errno, "open", entry.path);
  if (xattrs_ == XattrNamespace::user) ::fremovexattr(file.get(), kOwnerXattr);
  // Changing the owner takes capabilities away, so it is only done where it makes a difference.
  if (status.st_uid != entry.uid || status.st_gid != entry.gid) give_owner(file.get(), entry);
  if (::fchmod(file.get(), entry.mode) != 0)
    throw system_error(errno, "change the mode of", entry.path);
  if (::futimens(file.get(), Times(entry.mtime).values) != 0)
    throw system_error(errno, "set the time of", entry.path);
}

void NodeMaker::set_other_metadata(int parent, const std::string& name,
                                   const TarEntry& entry) const {
  const bool is_ours = fresh_tree_ && entry.uid == uid_ && entry.gid == gid_;
  if (!is_ours &&
      ::fchownat(parent, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0 &&
      (xattrs_ != XattrNamespace::user || !may_not_give_owner(errno)))
    throw system_error(errno, "change the owner of", entry.path);
  // Links have no mode, and following one would change another file's.
  if (entry.type != EntryType::symlink && ::fchmodat(parent, name.c_str(), entry.mode, 0) != 0)
    throw system_error(errno, "change the mode of", entry.path);
  if (::utimensat(parent, name.c_str(), Times(entry.mtime).values, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "set the time of", entry.path);
}

void NodeMaker::set_directory_metadata(int directory, const TarEntry& entry) {
  set_owner(directory, entry);
  set_xattrs(directory, entry);
}

void NodeMaker::finish_directory(int directory, const std::string& path, std::uint32_t mode,
                                 struct timespec mtime) const {
  if (::fchmod(directory, mode) != 0) throw system_error(errno, "change the mode of", path);
  if (::futimens(directory, Times(mtime).values) != 0)
    throw system_error(errno, "set the time of", path);
}

void NodeMaker::make_opaque(int directory, const std::string& path) const {
  if (::fsetxattr(directory, opaque_xattr(xattrs_), "y", 1, 0) != 0)
    throw system_error(errno, "make opaque", path);
}

std::string to_string(const RecordedOwner& owner) {
  char text[96];
  int size = std::snprintf(text, sizeof text, "%u:%u", owner.uid, owner.gid);
  if (owner.mode != 0)
    size = std::snprintf(text, sizeof text, "%u:%u:%o:%u:%u", owner.uid, owner.gid, owner.mode,
                         owner.device_major, owner.device_minor);
  return std::string(text, static_cast<std::size_t>(size));
}

bool parse_recorded_owner(std::string_view text, RecordedOwner& owner) {
  const auto field = [&text](std::uint32_t& value, int radix) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, radix);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const bool more = text.starts_with(':');
    if (more) text.remove_prefix(1);
    return more || text.empty();
  };
  RecordedOwner parsed;
  if (!field(parsed.uid, 10) || !field(parsed.gid, 10)) return false;
  if (!text.empty() && (!field(parsed.mode, 8) || !field(parsed.device_major, 10) ||
                        !field(parsed.device_minor, 10) || !text.empty()))
    return false;
  owner = parsed;
  return true;
}

int create_whiteout(int parent, const std::string& name) noexcept {
  return ::mknodat(parent, name.c_str(), S_IFCHR, ::makedev(0, 0)) == 0 ? 0 : errno;
}

}  // namespace strake::layers
