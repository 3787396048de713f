#include "builder/sandbox/mount_points.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::sandbox {
namespace {

using base::FileDescriptor;

FileDescriptor duplicate(int fd) {
  FileDescriptor copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw base::system_error(errno, "duplicate", "file descriptor");
  return copy;
}

struct ::stat status_of(int fd, const std::string& subject) {
  struct ::stat status;
  if (::fstat(fd, &status) != 0) throw base::system_error(errno, "look at", subject);
  return status;
}

/// Puts the times of `directory` back to what they were when this object was made.
class KeptTimes {
 public:
  explicit KeptTimes(int directory)
      : directory_(directory), status_(status_of(directory, "directory")) {}
  ~KeptTimes() {
    const std::array<timespec, 2> times{status_.st_atim, status_.st_mtim};
    ::futimens(directory_, times.data());
  }
  KeptTimes(const KeptTimes&) = delete;
  KeptTimes& operator=(const KeptTimes&) = delete;

 private:
  int directory_;
  struct ::stat status_;
};

bool same_file(const struct ::stat& a, const struct ::stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool same_metadata(const struct ::stat& a, const struct ::stat& b) {
  return a.st_mode == b.st_mode && a.st_uid == b.st_uid && a.st_gid == b.st_gid &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

bool is_overlay_name(const base::Xattr& xattr) {
  return xattr.first.starts_with("trusted.overlay.") || xattr.first.starts_with("user.overlay.");
}

bool is_opaque(const base::Xattr& xattr) {
  return is_overlay_name(xattr) && xattr.first.ends_with(".opaque");
}

/// The path up to each of its slashes, outermost first, and the path: "/a/b" is "/a", "/a/b".
std::vector<std::string> prefixes(const std::string& path) {
  std::vector<std::string> result;
  for (std::size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    if (end > 1) result.push_back(path.substr(0, end));
  }
  return result;
}

}  // namespace

MountPoints::MountPoints(base::RootedDirectory tree, int upper_fd) : tree_(std::move(tree)) {
  if (upper_fd >= 0) upper_.emplace(duplicate(upper_fd), "upper directory");
}

FileDescriptor MountPoints::directory(const std::string& path) {
  FileDescriptor found = existing(path, true);
  return found ? std::move(found) : make(path, true);
}

FileDescriptor MountPoints::file(const std::string& path) {
  FileDescriptor found = existing(path, false);
  return found ? std::move(found) : make(path, false);
}

FileDescriptor MountPoints::existing(const std::string& path, bool is_directory) const {
  std::optional<FileDescriptor> found = tree_.try_open(path, O_PATH | O_NOFOLLOW);
  if (!found) return {};
  if (S_ISDIR(status_of(found->get(), path).st_mode) != is_directory)
    throw base::Error(base::ErrorCode::invalid_input,
                      "cannot mount at " + base::quoted(path) + ": in the image it is " +
                          (is_directory ? "not a directory" : "a directory"));
  return std::move(*found);
}

/// Finds the innermost directory of `path` that exists, and makes the rest below it.
FileDescriptor MountPoints::make(const std::string& path, bool is_directory) {
  const std::vector<std::string> levels = prefixes(path);
  std::size_t missing = levels.size() - 1;
  while (missing > 0 && !tree_.lstat(levels[missing - 1])) --missing;
  const std::string nearest = missing == 0 ? "/" : levels[missing - 1];
  note_copy_up(nearest);
  touched_.push_back(nearest);
  parents_.push_back(tree_.open(nearest, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));

  FileDescriptor made;
  for (; missing < levels.size(); ++missing) {
    const bool last = missing + 1 == levels.size();
    const std::string name = levels[missing].substr(levels[missing].rfind('/') + 1);
    made = make_stub(parents_.size() - 1, name, !last || is_directory);
    if (last) break;
    FileDescriptor inside(
        ::openat(made.get(), ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!inside) throw base::system_error(errno, "open mount point", levels[missing]);
    parents_.push_back(std::move(inside));
  }
  return made;
}

FileDescriptor MountPoints::make_stub(std::size_t parent, const std::string& name,
                                      bool is_directory) {
  const int directory = parents_[parent].get();
  const KeptTimes as_before(directory);
  const int made = is_directory ? ::mkdirat(directory, name.c_str(), 0755)
                                : ::mknodat(directory, name.c_str(), S_IFREG | 0644, 0);
  if (made != 0) throw base::system_error(errno, "create mount point", name);
  FileDescriptor itself(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!itself) throw base::system_error(errno, "open mount point", name);
  // The builder's umask is not the image's business.
  const mode_t mode = is_directory ? 0755 : 0644;
  if ((status_of(itself.get(), name).st_mode & 07777) != mode &&
      ::fchmodat(directory, name.c_str(), mode, 0) != 0)
    throw base::system_error(errno, "create mount point", name);
  stubs_.push_back({parent, name, duplicate(itself.get()), is_directory});
  return itself;
}

/// A change inside `path` makes the overlay copy it and the directories above it.
void MountPoints::note_copy_up(const std::string& path) {
  if (!upper_) return;
  for (const std::string& level : prefixes(path)) {
    if (copied_up_.contains(level) || upper_->lstat(level)) continue;
    if (const auto before = tree_.lstat(level))
      copied_up_.emplace(level, CopiedUp{*before, tree_.xattrs(level)});
  }
}

void MountPoints::remove() noexcept {
  try {
    while (!stubs_.empty()) {
      const Stub stub = std::move(stubs_.back());
      stubs_.pop_back();
      remove_stub(stub);
    }
    prune_upper();
    copied_up_.clear();
  } catch (const std::exception& error) {
    base::log_warning(std::string("mount points of the step stay behind: ") + error.what());
  }
}

/// A directory that the step put something into is its own now: it stays.
void MountPoints::remove_stub(const Stub& stub) const {
  const int parent = parents_[stub.parent].get();
  struct ::stat now;
  if (::fstatat(parent, stub.name.c_str(), &now, AT_SYMLINK_NOFOLLOW) != 0 ||
      !same_file(now, status_of(stub.itself.get(), stub.name)) ||
      (!stub.is_directory && now.st_size != 0))
    return;
  const KeptTimes as_the_step_left_them(parent);
  const int flags = stub.is_directory ? AT_REMOVEDIR : 0;
  if (::unlinkat(parent, stub.name.c_str(), flags) != 0 && errno != ENOTEMPTY && errno != EEXIST)
    throw base::system_error(errno, "remove mount point", stub.name);
}

void MountPoints::prune_upper() const {
  for (auto level = copied_up_.rbegin(); level != copied_up_.rend(); ++level) {
    const auto& [path, copy] = *level;
    const auto now = upper_->lstat(path);
    if (!now || !S_ISDIR(now->st_mode) || !same_metadata(*now, copy.before)) continue;
    if (!upper_->list(path).empty()) continue;
    std::vector<base::Xattr> xattrs = upper_->xattrs(path);
    if (std::any_of(xattrs.begin(), xattrs.end(), is_opaque)) continue;
    std::erase_if(xattrs, is_overlay_name);
    if (xattrs != copy.xattrs) continue;

    const auto [parent_path, name] = upper_->open_parent(path);
    const FileDescriptor parent(
        ::openat(parent_path.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent) throw base::system_error(errno, "open", path);
    const KeptTimes as_before(parent.get());
    if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0)
      throw base::system_error(errno, "remove", path);
  }
}

}  // namespace strake::sandbox
