#include "layers/base/rooted_directory.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "layers/base/directory_reader.h"
#include "layers/base/entry_place.h"
#include "layers/base/error.h"
#include "layers/base/path_resolution.h"
#include "layers/base/recorded_owner.h"
#include "layers/base/tree_removal.h"

namespace strake::base {
namespace {

bool means_absent(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

constexpr mode_t kPermissions = 07777;

/// Gives the entry that was just made the permissions it was asked for, which the umask may have
/// cut. Returns 0 or -errno.
int make_mode_exact(int directory, const char* name, mode_t mode) {
  struct ::stat status;
  if (::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return -errno;
  // A directory takes the set-group-id bit over from its parent; that is no business of the umask.
  const mode_t inherited = S_ISDIR(status.st_mode) ? status.st_mode & S_ISGID : 0;
  const mode_t wanted = (mode & kPermissions) | inherited;
  if ((status.st_mode & kPermissions) == wanted) return 0;
  return ::fchmodat(directory, name, wanted, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

}  // namespace

RootedDirectory RootedDirectory::open_host(std::string_view path, Owners owners) {
  std::string name(path);
  FileDescriptor directory(::open(name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open", path);
  return RootedDirectory(std::move(directory), std::move(name), owners);
}

RootedDirectory::RootedDirectory(FileDescriptor directory, std::string name, Owners owners)
    : directory_(std::move(directory)), name_(std::move(name)), owners_(owners) {}

RootedDirectory RootedDirectory::duplicate() const {
  return RootedDirectory(directory_.duplicate(), name_, owners_);
}

std::string RootedDirectory::shown(std::string_view path) const {
  if (name_.empty()) return std::string(path.empty() ? "." : path);
  if (path.empty()) return name_;
  const bool has_slash = path.front() == '/' || name_.back() == '/';
  return name_ + (has_slash ? "" : "/") + std::string(path);
}

void RootedDirectory::check(int result, const char* operation, std::string_view path) const {
  if (result < 0) throw system_error(-result, operation, shown(path));
}

EntryPlace RootedDirectory::place_of(std::string_view path, const char* operation) const {
  EntryPlace place;
  check(place.find(fd(), path), operation, path);
  return place;
}

EntryPlace RootedDirectory::named_place_of(std::string_view path, const char* operation) const {
  EntryPlace place = place_of(path, operation);
  if (!place.is_named())
    throw Error(ErrorCode::invalid_input, "cannot " + std::string(operation) + " " +
                                              base::quoted(shown(path)) +
                                              ": the path ends in no name");
  return place;
}

// Opening and looking.

FileDescriptor RootedDirectory::open(std::string_view path, int flags) const {
  if ((flags & O_CREAT) != 0) throw system_error(EINVAL, "open", shown(path));
  FileDescriptor file(open_in_root(fd(), std::string(path), flags | O_NONBLOCK | O_NOCTTY));
  check(file.get(), "open", path);
  return file;
}

std::optional<FileDescriptor> RootedDirectory::try_open(std::string_view path, int flags) const {
  if ((flags & O_CREAT) != 0) throw system_error(EINVAL, "open", shown(path));
  const int fd = open_in_root(directory_.get(), std::string(path), flags | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0) return FileDescriptor(fd);
  // Without O_PATH, O_NOFOLLOW makes ELOOP also mean that a symlink is there.
  const bool may_be_link = fd == -ELOOP && (flags & O_NOFOLLOW) != 0 && (flags & O_PATH) == 0;
  const bool absent = means_absent(-fd) && !(may_be_link && lstat(path));
  if (!absent) check(fd, "open", path);
  return std::nullopt;
}

RootedDirectory RootedDirectory::subdirectory(std::string_view path) const {
  return RootedDirectory(open(path, O_PATH | O_DIRECTORY), shown(path), owners_);
}

std::optional<struct ::stat> RootedDirectory::status_of(std::string_view path, int flags) const {
  const std::optional<FileDescriptor> file = try_open(path, O_PATH | flags);
  if (!file) return std::nullopt;
  struct ::stat status;
  if (::fstat(file->get(), &status) != 0) check(-errno, "look at", path);
  if (owners_ == Owners::recorded)
    if (const auto owner = read_recorded_owner(DescriptorPath(file->get()).c_str(), status.st_mode))
      apply_recorded_owner(*owner, status);
  return status;
}

std::optional<struct ::stat> RootedDirectory::lstat(std::string_view path) const {
  return status_of(path, O_NOFOLLOW);
}

std::optional<struct ::stat> RootedDirectory::stat(std::string_view path) const {
  return status_of(path, 0);
}

std::string RootedDirectory::read_link(std::string_view path) const {
  const FileDescriptor link = open(path, O_PATH | O_NOFOLLOW);
  char text[PATH_MAX];
  const ssize_t size = ::readlinkat(link.get(), "", text, sizeof text);
  // The kernel says ENOENT of an empty name on what is no symlink.
  if (size < 0) check(errno == ENOENT ? -EINVAL : -errno, "read link", path);
  return std::string(text, static_cast<std::size_t>(size));
}

std::string RootedDirectory::canonical(std::string_view path) const {
  std::string result;
  check(canonical_in_root(fd(), std::string(path), result), "resolve", path);
  return result;
}

std::pair<FileDescriptor, std::string> RootedDirectory::open_parent(std::string_view path) const {
  EntryPlace place = named_place_of(path, "find the parent of");
  FileDescriptor parent = place.is_in_root() ? directory_.duplicate() : place.take_parent();
  return {std::move(parent), place.name()};
}

// Making and removing.

FileDescriptor RootedDirectory::create_file(std::string_view path, mode_t mode) const {
  const EntryPlace place = named_place_of(path, "create");
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  FileDescriptor file(::openat(place.directory(), place.name(), kFlags, mode & kPermissions));
  if (!file) check(-errno, "create", path);
  struct ::stat status;
  if (::fstat(file.get(), &status) != 0) check(-errno, "create", path);
  if ((status.st_mode & kPermissions) != (mode & kPermissions) &&
      ::fchmod(file.get(), mode & kPermissions) != 0)
    check(-errno, "create", path);
  return file;
}

void RootedDirectory::make_directory(std::string_view path, mode_t mode) const {
  const EntryPlace place = named_place_of(path, "create directory");
  if (::mkdirat(place.directory(), place.name(), mode & kPermissions) != 0)
    check(-errno, "create directory", path);
  check(make_mode_exact(place.directory(), place.name(), mode), "create directory", path);
}

std::vector<std::string> RootedDirectory::make_directories(std::string_view path,
                                                           mode_t mode) const {
  const std::string whole = canonical(path);
  std::vector<std::string> created;
  FileDescriptor below;
  std::size_t end = 0;
  while (end < whole.size()) {
    const std::size_t begin = end + 1;
    end = std::min(whole.find('/', begin), whole.size());
    const std::string name = whole.substr(begin, end - begin);
    if (name.empty()) break;  // "/"
    const int parent = below ? below.get() : fd();
    if (::mkdirat(parent, name.c_str(), mode & kPermissions) == 0) {
      check(make_mode_exact(parent, name.c_str(), mode), "create directory", path);
      created.push_back(whole.substr(0, end));
    } else if (errno != EEXIST) {
      check(-errno, "create directory", path);
    }
    FileDescriptor next(
        ::openat(parent, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!next) check(-errno, "create directory", path);
    below = std::move(next);
  }
  return created;
}

void RootedDirectory::make_symlink(std::string_view target, std::string_view path) const {
  if (target.find('\0') != std::string_view::npos) check(-EINVAL, "create symlink", path);
  const EntryPlace place = named_place_of(path, "create symlink");
  if (::symlinkat(std::string(target).c_str(), place.directory(), place.name()) != 0)
    check(-errno, "create symlink", path);
}

void RootedDirectory::make_node(std::string_view path, mode_t mode, dev_t device) const {
  const EntryPlace place = named_place_of(path, "create device node");
  if (::mknodat(place.directory(), place.name(), mode, device) != 0)
    check(-errno, "create device node", path);
  if ((mode & kPermissions) != 0)
    check(make_mode_exact(place.directory(), place.name(), mode), "create device node", path);
}

void RootedDirectory::make_link(std::string_view existing, std::string_view path) const {
  const EntryPlace from = named_place_of(existing, "link to");
  const EntryPlace to = named_place_of(path, "create link");
  if (::linkat(from.directory(), from.name(), to.directory(), to.name(), 0) != 0)
    check(-errno, "create link", path);
}

void RootedDirectory::rename(std::string_view from, std::string_view to) const {
  const EntryPlace source = named_place_of(from, "rename");
  const EntryPlace target = named_place_of(to, "rename to");
  if (::renameat(source.directory(), source.name(), target.directory(), target.name()) != 0)
    check(-errno, "rename", from);
}

void RootedDirectory::remove_tree(std::string_view path) const {
  EntryPlace place;
  const int found = place.find(fd(), path);
  if (means_absent(-found)) return;
  check(found, "remove", path);
  check(place.is_named() ? remove_entry(place.directory(), place.name()) : -EINVAL, "remove", path);
}

void RootedDirectory::remove_file(std::string_view path) const {
  EntryPlace place;
  const int found = place.find(fd(), path);
  if (means_absent(-found)) return;
  check(found, "remove", path);
  if (!place.is_named()) check(-EISDIR, "remove", path);
  if (::unlinkat(place.directory(), place.name(), 0) != 0 && errno != ENOENT)
    check(-errno, "remove", path);
}

std::vector<std::string> RootedDirectory::list(std::string_view path) const {
  return list_directory(open(path, O_RDONLY | O_DIRECTORY).get(), shown(path));
}

std::vector<std::string> list_directory(int directory, std::string_view subject) {
  std::vector<std::string> names;
  DirectoryReader reader(directory);
  while (const ::dirent64* entry = reader.next()) names.emplace_back(entry->d_name);
  if (reader.error() != 0) throw system_error(reader.error(), "list", subject);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace strake::base
