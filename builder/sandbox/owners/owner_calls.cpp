#include "builder/sandbox/owners/owner_calls.h"

#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strake::sandbox {
namespace {

using base::FileDescriptor;
using base::RecordedOwner;

/// Which file a call is about.
struct Target {
  int directory = AT_FDCWD;
  std::uint64_t path = 0;  // address; 0: the descriptor `directory` itself
  int flags = 0;           // AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
};

/// The kernel can look at everything by itself, but not change its owner.
enum class Purpose { look, change };

int open_target(const StepThread& thread, const Target& target, Purpose purpose,
                FileDescriptor& file) {
  std::string path;
  if (target.path != 0)
    if (const int error = thread.read_path(target.path, path); error != 0) return error;
  if (path.empty())
    return target.path == 0 || (target.flags & AT_EMPTY_PATH) != 0
               ? thread.open_descriptor(target.directory, file)
               : ENOENT;
  const LastSymlink symlink =
      (target.flags & AT_SYMLINK_NOFOLLOW) != 0 ? LastSymlink::keep : LastSymlink::follow;
  const int error = thread.open(target.directory, path, symlink, file);
  if (error != 0 && purpose == Purpose::change)
    return thread.open_own_descriptor(target.directory, path, file);
  return error;
}

struct Change {
  Target target;
  std::uint32_t uid = kUnchanged, gid = kUnchanged;
};

Change change_of(const Request& request) {
  switch (request.call) {
    case Call::fchown:
      return {{request.integer(0), 0, 0}, request.id(1), request.id(2)};
    case Call::lchown:
      return {{AT_FDCWD, request.word(0), AT_SYMLINK_NOFOLLOW}, request.id(1), request.id(2)};
    case Call::fchownat:
      return {
          {request.integer(0), request.word(1), request.integer(4)}, request.id(2), request.id(3)};
    default:
      return {{AT_FDCWD, request.word(0), 0}, request.id(1), request.id(2)};
  }
}

/// Where the path and the flags of a stat call are.
Target target_of_stat(const Request& request) {
  switch (request.call) {
    case Call::fstat:
      return {request.integer(0), 0, 0};
    case Call::lstat:
      return {AT_FDCWD, request.word(0), AT_SYMLINK_NOFOLLOW};
    case Call::newfstatat:
      return {request.integer(0), request.word(1), request.integer(3)};
    case Call::statx:
      return {request.integer(0), request.word(1), request.integer(2)};
    default:
      return {AT_FDCWD, request.word(0), 0};
  }
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

Answer write_statx(const Request& request, const OwnedFile& owned) {
  struct statx status {};
  constexpr int kSyncFlags = AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
  const int flags = AT_EMPTY_PATH | (request.integer(2) & kSyncFlags);
  if (::statx(owned.file.get(), "", flags, request.id(3), &status) != 0)
    return Answer::error(errno);
  const struct ::stat seen = owned.seen();
  status.stx_uid = seen.st_uid;
  status.stx_gid = seen.st_gid;
  status.stx_mode = static_cast<std::uint16_t>(seen.st_mode);
  status.stx_rdev_major = major(seen.st_rdev);
  status.stx_rdev_minor = minor(seen.st_rdev);
  return Answer::of(request.thread.write(request.word(4), bytes_of(status)));
}

/// The C library's struct stat is the kernel's on all 64-bit machines.
Answer write_stat(const Request& request, const OwnedFile& owned) {
  const int buffer = request.call == Call::newfstatat ? 2 : 1;
  const struct ::stat seen = owned.seen();
  return Answer::of(request.thread.write(request.word(buffer), bytes_of(seen)));
}

/// The names but ours, each with its end, as listxattr gives them.
std::string without_record(std::string_view names, mode_t type) {
  const std::string_view hidden =
      S_ISREG(type) || S_ISDIR(type) ? base::kOwnerXattr : "security.capability";
  std::string rest;
  while (!names.empty()) {
    const std::size_t end = std::min(names.find('\0'), names.size() - 1);
    if (names.substr(0, end) != hidden) rest.append(names.substr(0, end + 1));
    names.remove_prefix(end + 1);
  }
  return rest;
}

}  // namespace

Answer change_owner(const Request& request, const Credentials& who) {
  const auto [target, uid, gid] = change_of(request);
  OwnedFile owned;
  if ((uid == kUnchanged && gid == kUnchanged) ||
      open_target(request.thread, target, Purpose::change, owned.file) != 0 ||
      look_up_owner(owned) != 0)
    return Answer::proceed();  // the kernel knows the error
  const struct ::stat before = owned.seen();
  if (const int error = check_change_of_owner(who, before.st_uid, before.st_gid, uid, gid);
      error != 0)
    return Answer::error(error);
  if (!request.still_waits()) return Answer::proceed();

  const auto mapped = [](std::uint32_t id) { return id == kUnchanged ? kUnchanged : 0; };
  if (::fchownat(owned.file.get(), "", mapped(uid), mapped(gid), AT_EMPTY_PATH) != 0)
    return Answer::error(errno);
  RecordedOwner owner = owned.recorded.value_or(RecordedOwner());
  owner.uid = uid == kUnchanged ? before.st_uid : uid;
  owner.gid = gid == kUnchanged ? before.st_gid : gid;
  // A symlink has lost its record by the change, like a file its capabilities.
  if (owner == owned.recorded && !S_ISLNK(before.st_mode) && !S_ISFIFO(before.st_mode))
    return Answer::result(0);
  return Answer::of(change_record(owned.file, owned.status.st_mode, owner));
}

Answer report_status(const Request& request) {
  OwnedFile owned;
  if (open_target(request.thread, target_of_stat(request), Purpose::look, owned.file) != 0 ||
      look_up_owner(owned) != 0 || !owned.recorded || !request.still_waits())
    return Answer::proceed();
  return request.call == Call::statx ? write_statx(request, owned) : write_stat(request, owned);
}

Answer list_attributes(const Request& request) {
  Target target{AT_FDCWD, request.word(0), 0};
  if (request.call == Call::llistxattr) target.flags = AT_SYMLINK_NOFOLLOW;
  if (request.call == Call::flistxattr) target = {request.integer(0), 0, 0};
  OwnedFile owned;
  if (open_target(request.thread, target, Purpose::look, owned.file) != 0 ||
      look_up_owner(owned) != 0 || !owned.recorded)
    return Answer::proceed();
  std::vector<char> names(XATTR_LIST_MAX);
  const ssize_t size = ::listxattr(DescriptorName(owned.file).c_str(), names.data(), names.size());
  if (size < 0) return Answer::error(errno);
  const std::string rest =
      without_record({names.data(), static_cast<std::size_t>(size)}, owned.status.st_mode);
  const std::uint64_t capacity = request.word(2);
  const auto length = static_cast<std::int64_t>(rest.size());
  if (capacity == 0) return Answer::result(length);
  if (capacity < rest.size()) return Answer::error(ERANGE);
  if (!request.still_waits()) return Answer::proceed();
  const int error = request.thread.write(request.word(1), std::as_bytes(std::span(rest)));
  return error == 0 ? Answer::result(length) : Answer::error(error);
}

}  // namespace strake::sandbox
