#include "builder/sandbox/owners/creation_calls.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <string>
#include <utility>

namespace strake::sandbox {
namespace {

using base::FileDescriptor;
using base::RecordedOwner;

constexpr int kTmpfileBit = O_TMPFILE & ~O_DIRECTORY;
constexpr int kMostSymlinks = 40;

/// What is to be made, whatever the call is that asks for it.
struct Plan {
  enum class Kind { file, directory, symlink, node } kind = Kind::file;
  int directory = AT_FDCWD;
  std::uint64_t path = 0;  // address
  int flags = 0;           // of open
  mode_t mode = 0;
  std::uint64_t target = 0;  // address of what a symlink leads to
  dev_t device = 0;
};

/// The place of a new file, and who it will belong to.
struct Place {
  FileDescriptor parent;
  std::string name;
  RecordedOwner owner;
};

int plan_of_openat2(const Request& request, Plan& plan) {
  struct open_how how {};
  if (request.word(3) < sizeof how) return EINVAL;
  const int error =
      request.thread.read(request.word(2), std::as_writable_bytes(std::span(&how, 1)));
  if (error != 0) return error;
  if (how.resolve != 0) return EOPNOTSUPP;
  plan.flags = static_cast<int>(how.flags);
  plan.mode = static_cast<mode_t>(how.mode);
  return 0;
}

/// Returns 0 or errno, for a call that is the kernel's business.
int plan_of(const Request& request, Plan& plan) {
  const auto mode = [&request](int index) { return static_cast<mode_t>(request.id(index)); };
  // The calls that end in "at" have a directory before the path.
  int path = 0;
  switch (request.call) {
    case Call::openat:
    case Call::openat2:
    case Call::mkdirat:
    case Call::mknodat:
      plan.directory = request.integer(path++);
      break;
    case Call::symlinkat:
      plan.directory = request.integer(1);
      path = 2;
      break;
    case Call::symlink:
      path = 1;
      break;
    default:
      break;
  }
  plan.path = request.word(path);
  switch (request.call) {
    case Call::creat:
      plan.flags = O_CREAT | O_WRONLY | O_TRUNC;
      plan.mode = mode(path + 1);
      return 0;
    case Call::open:
    case Call::openat:
      plan.flags = request.integer(path + 1);
      plan.mode = mode(path + 2);
      return 0;
    case Call::openat2:
      return plan_of_openat2(request, plan);
    case Call::mkdir:
    case Call::mkdirat:
      plan.kind = Plan::Kind::directory;
      plan.mode = mode(path + 1);
      return 0;
    case Call::symlink:
    case Call::symlinkat:
      plan.kind = Plan::Kind::symlink;
      plan.target = request.word(0);
      return 0;
    case Call::mknod:
    case Call::mknodat:
      plan.kind = Plan::Kind::node;
      plan.mode = mode(path + 1);
      plan.device = request.id(path + 2);
      return 0;
    default:
      return ENOSYS;
  }
}

/// What the kernel would do with a new file in this directory.
int find_owner(const Credentials& who, const FileDescriptor& parent, RecordedOwner& owner) {
  struct ::stat status;
  if (::fstat(parent.get(), &status) != 0) return errno;
  owner.uid = who.users.file_system;
  owner.gid = who.groups.file_system;
  if ((status.st_mode & S_ISGID) == 0) return 0;
  const auto recorded = base::read_recorded_owner(DescriptorName(parent).c_str(), status.st_mode);
  owner.gid = recorded ? recorded->gid : 0;
  return 0;
}

int find_place(const Request& request, const Plan& plan, const Credentials& who,
               const std::string& path, Place& place) {
  const int error = request.thread.open_parent(plan.directory, path, place.parent, place.name);
  return error != 0 ? error : find_owner(who, place.parent, place.owner);
}

/// Records the owner of what was just made under this name.
int record(const Place& place, const RecordedOwner& owner) {
  const FileDescriptor made(
      ::openat(place.parent.get(), place.name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct ::stat status;
  if (!made || ::fstat(made.get(), &status) != 0) return errno;
  return change_record(made, status.st_mode, owner);
}

// Files.

/// A file without a name, in the directory that the path is of.
Answer make_unnamed(const Request& request, const Plan& plan, const Credentials& who,
                    const std::string& path) {
  FileDescriptor directory;
  RecordedOwner owner;
  if (request.thread.open(plan.directory, path, LastSymlink::follow, directory) != 0 ||
      find_owner(who, directory, owner) != 0 || owner == RecordedOwner() || !request.still_waits())
    return Answer::proceed();
  request.thread.take_umask();
  FileDescriptor file(::openat(directory.get(), ".", plan.flags | O_CLOEXEC, plan.mode));
  if (!file) return Answer::error(errno);
  if (const int error = change_record(file, S_IFREG, owner); error != 0)
    return Answer::error(error);
  return Answer::open_file(std::move(file), (plan.flags & O_CLOEXEC) != 0);
}

/// Where the symlink in the way leads: to a path from `directory` on, if it is a symlink.
bool follow(const Place& place, std::string& path) {
  std::array<char, PATH_MAX> target;
  const ssize_t size =
      ::readlinkat(place.parent.get(), place.name.c_str(), target.data(), target.size());
  if (size <= 0) return false;
  path.assign(target.data(), static_cast<std::size_t>(size));
  return true;
}

int parent_of(const FileDescriptor& start, const std::string& path, Place& place) {
  const std::size_t slash = path.rfind('/') + 1;
  place.name = path.substr(slash);
  if (place.name.empty() || place.name == "." || place.name == "..") return EINVAL;
  FileDescriptor parent;
  const std::string above = slash == 0 ? "." : path.substr(0, slash);
  const int error = open_path(start.get(), above.c_str(), O_DIRECTORY, parent);
  place.parent = std::move(parent);
  return error;
}

/// open without O_EXCL, of a name that is there: if it is a symlink to nothing, the place where it
/// leads, and true.
bool find_end_of_symlinks(Place& place, const Credentials& who) {
  std::string path;
  for (int i = 0; i < kMostSymlinks && follow(place, path); ++i) {
    Place next;
    if (parent_of(place.parent, path, next) != 0) return false;
    struct ::stat status;
    place = std::move(next);
    if (::fstatat(place.parent.get(), place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      return errno == ENOENT && find_owner(who, place.parent, place.owner) == 0 &&
             place.owner != RecordedOwner();
  }
  return false;
}

Answer open_new(const Request& request, const Plan& plan, const Credentials& who,
                const std::string& path) {
  if ((plan.flags & O_PATH) != 0 || path.ends_with('/')) return Answer::proceed();
  if ((plan.flags & kTmpfileBit) != 0) return make_unnamed(request, plan, who, path);
  Place place;
  if ((plan.flags & O_CREAT) == 0 || find_place(request, plan, who, path, place) != 0 ||
      place.owner == RecordedOwner() || !request.still_waits())
    return Answer::proceed();

  request.thread.take_umask();
  const auto create = [&] {
    constexpr int kNew = O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    return FileDescriptor(
        ::openat(place.parent.get(), place.name.c_str(), plan.flags | kNew, plan.mode));
  };
  FileDescriptor file = create();
  const bool may_exist = (plan.flags & O_EXCL) == 0;
  if (!file && errno == EEXIST && may_exist) {
    if ((plan.flags & O_NOFOLLOW) != 0 || !find_end_of_symlinks(place, who))
      return Answer::proceed();  // it is there
    file = create();
  }
  if (!file) return errno == EEXIST && may_exist ? Answer::proceed() : Answer::error(errno);
  if (const int error = change_record(file, S_IFREG, place.owner); error != 0)
    return Answer::error(error);
  return Answer::open_file(std::move(file), (plan.flags & O_CLOEXEC) != 0);
}

// Everything else.

/// An empty file that stands for the device.
Answer make_device(const Request& request, const Plan& plan, const Place& place) {
  RecordedOwner owner = place.owner;
  owner.mode = (plan.mode & S_IFMT) | (plan.mode & 07777);
  owner.device_major = major(plan.device);
  owner.device_minor = minor(plan.device);
  request.thread.take_umask();
  const FileDescriptor file(::openat(place.parent.get(), place.name.c_str(),
                                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                                     plan.mode & 07777));
  if (!file) return Answer::error(errno);
  const int error = base::record_owner(DescriptorName(file).c_str(), S_IFREG, owner);
  if (error != 0) ::unlinkat(place.parent.get(), place.name.c_str(), 0);
  return Answer::of(error == EOPNOTSUPP ? EPERM : error);
}

bool is_device(mode_t mode) {
  return S_ISCHR(mode) || S_ISBLK(mode);
}

int make_other(const Request& request, const Plan& plan, const Place& place) {
  const int parent = place.parent.get();
  const char* name = place.name.c_str();
  if (plan.kind == Plan::Kind::symlink) {
    std::string target;
    if (const int error = request.thread.read_path(plan.target, target); error != 0) return error;
    return ::symlinkat(target.c_str(), parent, name) == 0 ? 0 : errno;
  }
  request.thread.take_umask();
  if (plan.kind == Plan::Kind::directory)
    return ::mkdirat(parent, name, plan.mode & 07777) == 0 ? 0 : errno;
  return ::mknodat(parent, name, plan.mode, 0) == 0 ? 0 : errno;
}

Answer make(const Request& request, const Plan& plan, const Credentials& who,
            const std::string& path) {
  const bool device = plan.kind == Plan::Kind::node && is_device(plan.mode);
  // Device 0:0 is a mark of overlayfs, which lets nobody make one.
  if (device && S_ISCHR(plan.mode) && plan.device == 0) return Answer::proceed();
  if (plan.kind == Plan::Kind::node && path.ends_with('/')) return Answer::proceed();
  Place place;
  if (find_place(request, plan, who, path, place) != 0 ||
      (place.owner == RecordedOwner() && !device) || !request.still_waits())
    return Answer::proceed();
  if (device) return who.is_privileged() ? make_device(request, plan, place) : Answer::error(EPERM);
  const int error = make_other(request, plan, place);
  return Answer::of(error != 0 ? error : record(place, place.owner));
}

}  // namespace

Answer make_file(const Request& request, const Credentials& who) {
  Plan plan;
  std::string path;
  if (plan_of(request, plan) != 0 || request.thread.read_path(plan.path, path) != 0 || path.empty())
    return Answer::proceed();
  return plan.kind == Plan::Kind::file ? open_new(request, plan, who, path)
                                       : make(request, plan, who, path);
}

}  // namespace strake::sandbox
