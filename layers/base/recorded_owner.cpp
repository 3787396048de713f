#include "layers/base/recorded_owner.h"

#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

namespace strake::base {
namespace {

constexpr const char* kCapabilityXattr = "security.capability";
constexpr std::uint32_t kMagic = 0x6b727473;  // "strk": bits of capabilities that do not exist

/// "4294967295:4294967295:177777:4095:1048575" and more.
struct OwnerText {
  char text[96];
  std::size_t size = 0;
};

OwnerText text_of(const RecordedOwner& owner) noexcept {
  OwnerText result;
  int size = 0;
  if (owner.mode == 0)
    size = std::snprintf(result.text, sizeof result.text, "%u:%u", owner.uid, owner.gid);
  else
    size = std::snprintf(result.text, sizeof result.text, "%u:%u:%o:%u:%u", owner.uid, owner.gid,
                         owner.mode, owner.device_major, owner.device_minor);
  result.size = static_cast<std::size_t>(size);
  return result;
}

bool takes_user_xattrs(mode_t type) noexcept {
  return S_ISREG(type) || S_ISDIR(type);
}

vfs_cap_data capability_of(const RecordedOwner& owner) noexcept {
  vfs_cap_data value{};
  value.magic_etc = htole32(VFS_CAP_REVISION_2);
  value.data[0].permitted = htole32(owner.uid);
  value.data[0].inheritable = htole32(owner.gid);
  value.data[1].permitted = htole32(kMagic);
  return value;
}

std::optional<RecordedOwner> read_from_capability(const char* name) noexcept {
  vfs_ns_cap_data value{};  // as long as the kernel's longest form
  const ssize_t size = ::getxattr(name, kCapabilityXattr, &value, sizeof value);
  if (size < static_cast<ssize_t>(sizeof(vfs_cap_data)) ||
      le32toh(value.data[1].permitted) != kMagic)
    return std::nullopt;
  RecordedOwner owner;
  owner.uid = le32toh(value.data[0].permitted);
  owner.gid = le32toh(value.data[0].inheritable);
  return owner;
}

/// Neither is a failure: EINVAL is an id that the user namespace does not map.
bool may_not_give_owner(int error) noexcept {
  return error == EPERM || error == EINVAL;
}

}  // namespace

std::string to_string(const RecordedOwner& owner) {
  const OwnerText text = text_of(owner);
  return std::string(text.text, text.size);
}

bool parse_recorded_owner(std::string_view text, RecordedOwner& owner) {
  const auto field = [&text](std::uint32_t& value, int radix) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, radix);
    if (error != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.empty()) return true;
    if (text.front() != ':' || text.size() == 1) return false;
    text.remove_prefix(1);
    return true;
  };
  RecordedOwner parsed;
  if (!field(parsed.uid, 10) || !field(parsed.gid, 10)) return false;
  if (!text.empty() && (!field(parsed.mode, 8) || !field(parsed.device_major, 10) ||
                        !field(parsed.device_minor, 10) || !text.empty()))
    return false;
  owner = parsed;
  return true;
}

std::optional<RecordedOwner> read_recorded_owner(const char* name, mode_t type) noexcept {
  if (!takes_user_xattrs(type)) return read_from_capability(name);
  char text[sizeof OwnerText::text];
  const ssize_t size = ::getxattr(name, kOwnerXattr, text, sizeof text);
  RecordedOwner owner;
  if (size <= 0 || !parse_recorded_owner({text, static_cast<std::size_t>(size)}, owner))
    return std::nullopt;
  return owner;
}

int record_owner(const char* name, mode_t type, const RecordedOwner& owner) noexcept {
  const char* attribute = takes_user_xattrs(type) ? kOwnerXattr : kCapabilityXattr;
  int result;
  if (owner == RecordedOwner()) {
    result = ::removexattr(name, attribute);
    if (result != 0 && errno == ENODATA) return 0;
  } else if (takes_user_xattrs(type)) {
    const OwnerText text = text_of(owner);
    result = ::setxattr(name, attribute, text.text, text.size, 0);
  } else {
    const vfs_cap_data value = capability_of(owner);
    result = ::setxattr(name, attribute, &value, sizeof value, 0);
  }
  return result == 0 ? 0 : errno;
}

void apply_recorded_owner(const RecordedOwner& owner, struct ::stat& status) noexcept {
  // Whoever could give the device an owner did, and recorded none.
  if (owner.mode == 0 || owner.uid != 0 || owner.gid != 0) {
    status.st_uid = owner.uid;
    status.st_gid = owner.gid;
  }
  if (owner.mode == 0) return;
  status.st_mode = (owner.mode & S_IFMT) | (status.st_mode & 07777);
  status.st_rdev = ::makedev(owner.device_major, owner.device_minor);
}

DescriptorPath::DescriptorPath(int fd) noexcept {
  std::snprintf(text_, sizeof text_, "/proc/self/fd/%d", fd);
}

int give_or_record_owner(int fd, mode_t type, uid_t uid, gid_t gid) noexcept {
  const DescriptorPath name(fd);
  const std::optional<RecordedOwner> before = read_recorded_owner(name.c_str(), type);
  RecordedOwner owner = before.value_or(RecordedOwner());
  owner.uid = owner.gid = 0;
  if (::fchownat(fd, "", uid, gid, AT_EMPTY_PATH) == 0) {
    return before ? record_owner(name.c_str(), type, owner) : 0;
  }
  if (!may_not_give_owner(errno)) return errno;
  // The kernel does the rest of a change of owner: setuid bits, capabilities, ctime.
  if (::fchownat(fd, "", ::geteuid(), ::getegid(), AT_EMPTY_PATH) != 0) return errno;
  owner.uid = uid;
  owner.gid = gid;
  return record_owner(name.c_str(), type, owner);
}

}  // namespace strake::base
