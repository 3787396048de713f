#include "builder/sandbox/chroot_places.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "builder/sandbox/network_files.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::RootedDirectory;
using base::system_error;

struct Node {
  const char* name;
  unsigned major, minor;
};
constexpr Node kNodes[] = {{"null", 1, 3},   {"zero", 1, 5},    {"full", 1, 7},
                           {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
constexpr std::pair<const char*, const char*> kLinks[] = {{"fd", "/proc/self/fd"},
                                                          {"stdin", "/proc/self/fd/0"},
                                                          {"stdout", "/proc/self/fd/1"},
                                                          {"stderr", "/proc/self/fd/2"}};
/// Where what the image or the step has is nothing to us.
constexpr const char* kKernelDirectories[] = {"/dev", "/proc", "/sys"};

FileDescriptor open_directory(int parent, const char* name, const std::string& path) {
  FileDescriptor directory(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open directory", path);
  return directory;
}

struct ::stat status_of(int fd, const std::string& path) {
  struct ::stat status;
  if (::fstat(fd, &status) != 0) throw system_error(errno, "look at", path);
  return status;
}

bool same_file(const struct ::stat& a, const struct ::stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool same_time(const struct ::timespec& a, const struct ::timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

std::pair<std::string, std::string> split(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

bool is_in_kernel_directory(const std::string& path) {
  for (const std::string directory : kKernelDirectories)
    if (path == directory || path.starts_with(directory + "/")) return true;
  return false;
}

void warn_about_missing_nodes() {
  static std::atomic_flag warned;
  if (!warned.test_and_set())
    base::log_warning(
        "device nodes cannot be made or used here: steps have no /dev/null and its like");
}

/// False if nodes cannot be made here, or do not open.
bool make_nodes(int dev) {
  for (const Node& node : kNodes)
    if (::mknodat(dev, node.name, S_IFCHR | 0666, ::makedev(node.major, node.minor)) != 0 ||
        ::fchmodat(dev, node.name, 0666, 0) != 0)
      return false;
  return static_cast<bool>(FileDescriptor(::openat(dev, "null", O_RDWR | O_CLOEXEC)));
}

}  // namespace

ChrootPlaces::ChrootPlaces(const Spec& spec, int root)
    : root_(open_directory(root, ".", "/")), around_(open_directory(root, "..", "..")) {
  if (same_file(status_of(root_.fd(), "/"), status_of(around_.fd(), "..")))
    throw Error(ErrorCode::system, "internal error: the root of the step is a mount of its own");
  try {
    prepare(spec);
  } catch (const Error&) {
    restore();
    throw;
  }
}

void ChrootPlaces::prepare(const Spec& spec) {
  make_working_directory(spec);
  add_kernel_directories();
  add_network_files(spec);
  for (const Mount& mount : spec.mounts) std::visit([this](const auto& m) { add(m); }, mount);
  note_prepared();
}

/// Before everything else, so that it counts as the step's own, and stays.
void ChrootPlaces::make_working_directory(const Spec& spec) {
  const std::string path = root_.canonical(spec.working_dir);
  if (is_in_kernel_directory(path)) return;
  for (const std::string& made : root_.make_directories(path, 0755))
    root_.set_owner(made, spec.uid, spec.gid);
}

void ChrootPlaces::add_kernel_directories() {
  for (const char* path : kKernelDirectories) {
    const auto found = root_.lstat(path);
    if (found && !S_ISDIR(found->st_mode))
      throw Error(ErrorCode::invalid_input,
                  "cannot run in this image: its " + base::quoted(path) + " is not a directory");
    const FileDescriptor made = add_directory(path, path == std::string("/dev") ? 0755 : 0555);
    if (path == std::string("/dev")) add_devices(made.get());
  }
}

/// A node that cannot be made is left out: a file in its place would collect what is written to it.
void ChrootPlaces::add_devices(int dev) {
  if (!make_nodes(dev)) {
    for (const Node& node : kNodes) ::unlinkat(dev, node.name, 0);
    warn_about_missing_nodes();
  }
  for (const auto& [name, target] : kLinks)
    if (::symlinkat(target, dev, name) != 0) throw system_error(errno, "create", name);
  if (::mkdirat(dev, "shm", 01777) != 0 || ::fchmodat(dev, "shm", 01777, 0) != 0)
    throw system_error(errno, "create", "/dev/shm");
}

/// The step shares the builder's host name, so that is the one to be found.
void ChrootPlaces::add_network_files(const Spec& spec) {
  ::utsname own;
  if (::uname(&own) != 0) throw system_error(errno, "look at", "the host name");
  const std::string hostname(own.nodename);
  const std::pair<const char*, std::string> files[] = {{"/etc/resolv.conf", resolver_file(spec)},
                                                       {"/etc/hosts", hosts_file(spec, hostname)},
                                                       {"/etc/hostname", hostname + "\n"}};
  for (const auto& [path, content] : files) {
    add_file(path, content, {.mode = 0644});
    places_.back().yields = true;
  }
}

void ChrootPlaces::add(const DeviceNode& device) {
  throw Error(ErrorCode::unsupported, "cannot give the step the device " +
                                          base::quoted(device.target) +
                                          ": that needs CAP_SYS_ADMIN, to mount it");
}

/// The limit of its size cannot be kept.
void ChrootPlaces::add(const TmpfsMount& mount) {
  add_directory(mount.target, mount.mode);
}

void ChrootPlaces::add(const InlineFile& file) {
  if (!file.secret) return add_file(file.target, file.content, file);
  const Place& place = clear_place(file.target, false);
  secrets_.emplace_back(open_directory(directories_[place.directory].itself.fd(), ".", place.path),
                        place.name, file.content, file.mode, file.uid, file.gid);
}

void ChrootPlaces::add(const BindMount& mount) {
  if (!mount.movable)
    throw Error(ErrorCode::unsupported, "cannot mount at " + base::quoted(mount.target) +
                                            ": mounting the machine's own files needs "
                                            "CAP_SYS_ADMIN or user namespaces");
  const struct ::stat source = status_of(mount.source_fd, mount.target);
  const std::string link = "/proc/self/fd/" + std::to_string(mount.source_fd);
  std::array<char, 4096> path;
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  if (size < 0) throw system_error(errno, "find", mount.target);
  const auto [directory_path, name] =
      split(std::string(path.data(), static_cast<std::size_t>(size)));
  FileDescriptor directory(::open(directory_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct ::stat named;
  for (const Place& place : places_)
    if (place.source && same_file(place.placed, source))
      throw Error(ErrorCode::unsupported,
                  "cannot mount the same directory at " + base::quoted(place.path) + " and " +
                      base::quoted(mount.target) + " without CAP_SYS_ADMIN");
  if (!directory || ::fstatat(directory.get(), name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 ||
      !same_file(named, source))
    throw Error(ErrorCode::system,
                "cannot find what is to be mounted at " + base::quoted(mount.target));

  Place& place = clear_place(mount.target, S_ISDIR(source.st_mode));
  if (::renameat(directory.get(), name.c_str(), directories_[place.directory].itself.fd(),
                 place.name.c_str()) != 0) {
    if (errno == EXDEV)
      throw Error(ErrorCode::unsupported,
                  "cannot put anything at " + base::quoted(mount.target) +
                      " without CAP_SYS_ADMIN: it is on another file system than the root")
          .hint("put the whole store on one file system with --root");
    throw system_error(errno, "put in place", mount.target);
  }
  place.placed = source;
  place.source = std::move(directory);
  place.source_name = name;
}

/// Makes room for something at `target`, and notes how to undo that. As the last component of a
/// file's path a symlink is what is in the way, not followed.
auto ChrootPlaces::clear_place(const std::string& target, bool is_directory) -> Place& {
  std::string path = root_.canonical(target);
  if (!is_directory) {
    const auto [parent, name] = split(target);
    const std::string above = root_.canonical(parent);
    path = (above == "/" ? "" : above) + "/" + name;
  }
  if (path == "/" || path.ends_with('/'))
    throw Error(ErrorCode::invalid_input, "cannot mount at " + base::quoted(target));
  const auto [parent, name] = split(path);
  Place place{.directory = directory(parent), .name = name, .path = path};
  const int above = directories_[place.directory].itself.fd();
  struct ::stat found;
  if (::fstatat(above, name.c_str(), &found, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(found.st_mode) != is_directory)
      throw Error(ErrorCode::invalid_input, "cannot mount at " + base::quoted(path) +
                                                ": in the image it is " +
                                                (is_directory ? "not a directory" : "a directory"));
    place.aside = "aside-" + std::to_string(places_.size());
    if (::renameat(above, name.c_str(), around_.fd(), place.aside.c_str()) != 0)
      throw system_error(errno, "move aside", path);
    touched_.push_back(path);
  }
  return places_.emplace_back(std::move(place));
}

FileDescriptor ChrootPlaces::add_directory(const std::string& target, mode_t mode) {
  const Place& place = clear_place(target, true);
  const int above = directories_[place.directory].itself.fd();
  if (::mkdirat(above, place.name.c_str(), 0700) != 0)
    throw system_error(errno, "create", place.path);
  FileDescriptor made = open_directory(above, place.name.c_str(), place.path);
  if (::fchmod(made.get(), mode) != 0) throw system_error(errno, "create", place.path);
  return made;
}

void ChrootPlaces::add_file(const std::string& target, const std::string& content,
                            const InlineFile& file) {
  Place& place = clear_place(target, false);
  const RootedDirectory& above = directories_[place.directory].itself;
  const FileDescriptor made = above.create_file(place.name, 0600);
  base::write_full(made.get(), base::bytes_of(content), place.path);
  if (::fchown(made.get(), file.uid, file.gid) != 0 || ::fchmod(made.get(), file.mode) != 0)
    throw system_error(errno, "set up", place.path);
  place.placed = status_of(made.get(), place.path);
}

/// The directory `path` (canonical), made where it is missing.
std::size_t ChrootPlaces::directory(const std::string& path) {
  if (const auto known = directory_numbers_.find(path); known != directory_numbers_.end())
    return known->second;
  if (path != "/" && !root_.lstat(path)) {
    const auto [parent, name] = split(path);
    Place place{.directory = directory(parent), .name = name, .path = path, .made = true};
    const int above = directories_[place.directory].itself.fd();
    if (::mkdirat(above, name.c_str(), 0755) != 0 || ::fchmodat(above, name.c_str(), 0755, 0) != 0)
      throw system_error(errno, "create", path);
    if (::fstatat(above, name.c_str(), &place.placed, AT_SYMLINK_NOFOLLOW) != 0)
      throw system_error(errno, "look at", path);
    places_.push_back(std::move(place));
  }
  const std::size_t number = directories_.size();
  RootedDirectory itself(root_.open(path, O_RDONLY | O_DIRECTORY));
  const struct ::timespec before = status_of(itself.fd(), path).st_mtim;
  directories_.push_back({.itself = std::move(itself), .before = before});
  directory_numbers_.emplace(path, number);
  touched_.push_back(path);
  return number;
}

void ChrootPlaces::note_prepared() {
  for (Directory& directory : directories_)
    directory.prepared = status_of(directory.itself.fd(), "directory").st_mtim;
}

void ChrootPlaces::restore() noexcept {
  secrets_.clear();
  std::vector<struct ::timespec> times;
  for (const Directory& directory : directories_) {
    struct ::stat now = {};
    ::fstat(directory.itself.fd(), &now);
    const bool untouched = same_time(now.st_mtim, directory.prepared) ||
                           directory.prepared.tv_sec == 0;  // preparing failed
    times.push_back(untouched ? directory.before : now.st_mtim);
  }
  for (auto place = places_.rbegin(); place != places_.rend(); ++place) {
    try {
      put_back(*place);
    } catch (const std::exception& error) {
      base::log_warning("cannot put the root of the step in order at " + base::quoted(place->path) +
                        ": " + error.what());
    }
  }
  for (std::size_t i = 0; i < directories_.size(); ++i) {
    const std::array<timespec, 2> both{timespec{0, UTIME_OMIT}, times[i]};
    ::futimens(directories_[i].itself.fd(), both.data());
  }
  places_.clear();
  directories_.clear();
  directory_numbers_.clear();
}

void ChrootPlaces::put_back(const Place& place) const {
  const RootedDirectory& above = directories_[place.directory].itself;
  struct ::stat now;
  const bool there = ::fstatat(above.fd(), place.name.c_str(), &now, AT_SYMLINK_NOFOLLOW) == 0;
  if (place.made) {
    // What the step put something into is its own now.
    if (there && same_file(now, place.placed))
      ::unlinkat(above.fd(), place.name.c_str(), AT_REMOVEDIR);
    return;
  }
  const bool is_ours = there && same_file(now, place.placed) &&
                       now.st_size == place.placed.st_size &&
                       same_time(now.st_mtim, place.placed.st_mtim);
  if (place.yields && !is_ours) {
    if (!place.aside.empty()) around_.remove_tree(place.aside);
    return;
  }
  if (place.source) move_back(place);
  above.remove_tree(place.name);
  if (!place.aside.empty() &&
      ::renameat(around_.fd(), place.aside.c_str(), above.fd(), place.name.c_str()) != 0)
    throw system_error(errno, "move back", place.path);
}

/// Whatever the step has made of it. If that is nothing of the kind, it is made anew when it is
/// needed again.
void ChrootPlaces::move_back(const Place& place) const {
  const int above = directories_[place.directory].itself.fd();
  struct ::stat now;
  if (::fstatat(above, place.name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0 ||
      (now.st_mode & S_IFMT) != (place.placed.st_mode & S_IFMT))
    return;
  if (::renameat(above, place.name.c_str(), place.source.get(), place.source_name.c_str()) != 0)
    base::log_warning("cannot put back what was mounted at " + base::quoted(place.path) + ": " +
                      system_error(errno, "move", place.source_name).what());
}

}  // namespace strake::sandbox
