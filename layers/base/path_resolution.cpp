#include "layers/base/path_resolution.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <new>
#include <string_view>
#include <vector>

#include "layers/base/fd.h"
#include "layers/base/file_identity.h"
#include "layers/base/rooted_directory.h"

// Paths are resolved as after chroot(2) into the root: an absolute symlink starts again at the
// root,
// ".." of the root is the root. openat2(RESOLVE_IN_ROOT) does it in one call. The walk below does
// it with O_PATH descriptors, one component at a time:
//
//   - Each component is opened with O_PATH | O_NOFOLLOW and then looked at through its descriptor,
//   so
//     it cannot become something else between the check and the use.
//   - A symlink's text is put in front of what is left of the path.
//   - ".." asks the kernel for the parent and then climbs to see that it still is below the root:
//   the
//     directory may have been moved out meanwhile.
//   - The last component is opened with O_NOFOLLOW, so a symlink that comes up late is not followed
//     by the kernel but noticed (ELOOP) and resolved here.

namespace strake::base {
namespace {

constexpr int kMaxLinks = 40;   // the kernel's own limit, path_resolution(7)
constexpr int kMaxRaces = 128;  // each a rename somewhere at the wrong moment

int open_entry(int directory, const char* name, int flags, mode_t mode = 0) noexcept {
  int fd;
  do fd = ::openat(directory, name, flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd < 0 ? -errno : fd;
}

int open_by_kernel(int root, const char* path, int flags, mode_t mode) noexcept {
  ::open_how how{};
  how.flags = static_cast<std::uint32_t>(flags | O_CLOEXEC);
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  for (int races = 0;;) {
    const long fd = ::syscall(SYS_openat2, root, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if (errno == EAGAIN && ++races < kMaxRaces) continue;
    if (errno != EINTR) return -errno;
  }
}

/// The directory the walk has come to.
class Position {
 public:
  explicit Position(int root) noexcept : root_(root) {}

  int fd() const noexcept { return below_ ? below_.get() : root_; }
  std::size_t depth() const noexcept { return depth_; }
  void enter(FileDescriptor directory) noexcept {
    below_ = std::move(directory);
    ++depth_;
  }
  void go_to_root() noexcept {
    below_.reset();
    depth_ = 0;
  }

  /// "..": returns 0 or -errno, -EAGAIN if the parent turned out not to be below the root.
  int ascend() noexcept {
    if (depth_ <= 1) {
      go_to_root();
      return 0;
    }
    FileDescriptor parent(open_entry(fd(), "..", O_PATH | O_DIRECTORY));
    if (!parent) return parent.get();
    if (const int error = check_below_root(parent.get()); error != 0) return error;
    below_ = std::move(parent);
    --depth_;
    return 0;
  }

 private:
  int check_below_root(int directory) const noexcept {
    FileIdentity root, here;
    if (const int error = identify(root_, root); error != 0) return error;
    if (const int error = identify(directory, here); error != 0) return error;
    FileDescriptor climber;
    while (!here.same_file(root)) {
      FileDescriptor parent(
          open_entry(climber ? climber.get() : directory, "..", O_PATH | O_DIRECTORY));
      if (!parent) return parent.get();
      FileIdentity above;
      if (const int error = identify(parent.get(), above); error != 0) return error;
      if (above.same_file(here)) return -EAGAIN;  // the top of the file system
      here = above;
      climber = std::move(parent);
    }
    return 0;
  }

  const int root_;
  FileDescriptor below_;   // none: the root itself
  std::size_t depth_ = 0;  // directories entered below the root
};

/// What is left of a path: hands out components, takes in the texts of symlinks.
class PendingPath {
 public:
  explicit PendingPath(std::string path) : text_(std::move(path)) {}

  bool next() {
    const std::size_t begin = text_.find_first_not_of('/', position_);
    if (begin == std::string::npos) return false;
    position_ = std::min(text_.find('/', begin), text_.size());
    name_ = text_.substr(begin, position_ - begin);
    return true;
  }
  const std::string& name() const noexcept { return name_; }
  bool is_last() const noexcept {
    return text_.find_first_not_of('/', position_) == std::string::npos;
  }
  bool slash_follows() const noexcept { return position_ < text_.size(); }

  /// Puts `path` where the current component was.
  void replace_component(std::string_view path) {
    text_ = std::string(path) + text_.substr(position_);
    position_ = 0;
  }

 private:
  std::string text_;
  std::size_t position_ = 0;
  std::string name_;
};

/// One component, opened without following it.
struct Entry {
  FileDescriptor file;
  int error = 0;  // errno, if `file` is empty
  mode_t mode = 0;

  bool is_link() const noexcept { return file && S_ISLNK(mode); }
  bool is_directory() const noexcept { return file && S_ISDIR(mode); }
};

Entry look_at(int directory, const std::string& name) noexcept {
  Entry entry;
  const int fd = open_entry(directory, name.c_str(), O_PATH | O_NOFOLLOW);
  if (fd < 0) {
    entry.error = -fd;
    return entry;
  }
  entry.file = FileDescriptor(fd);
  struct ::stat status;
  if (::fstat(fd, &status) == 0) {
    entry.mode = status.st_mode;
  } else {
    entry.error = errno;
    entry.file.reset();
  }
  return entry;
}

/// procfs has symlinks that are none: they lead to what a descriptor or process has open, whatever
/// their text says (/proc/self/exe, fd/3). Its true symlinks are relative ("self" -> "41").
bool is_magic(int link, std::string_view text) noexcept {
  if (text.front() != '/' && text.find(':') == std::string_view::npos) return false;
  struct ::statfs file_system;
  return ::fstatfs(link, &file_system) == 0 && file_system.f_type == PROC_SUPER_MAGIC;
}

/// Replaces the current component, the symlink `link`, by its text. Returns 0 or -errno.
int follow(const FileDescriptor& link, Position& position, PendingPath& pending, int& links) {
  if (links++ >= kMaxLinks) return -ELOOP;
  char text[PATH_MAX];
  const ssize_t size = ::readlinkat(link.get(), "", text, sizeof text);
  if (size < 0) return -errno;
  if (size == 0) return -ENOENT;
  const std::string_view target(text, static_cast<std::size_t>(size));
  if (is_magic(link.get(), target)) return -ELOOP;
  if (target.front() == '/') position.go_to_root();
  pending.replace_component(target);
  return 0;
}

int walk(int root, const std::string& path, int flags, mode_t mode) {
  Position position(root);
  PendingPath pending(path);
  int links = 0;
  while (pending.next()) {
    const std::string& name = pending.name();
    if (name == ".") continue;
    if (name == "..") {
      if (const int error = position.ascend(); error != 0) return error;
      continue;
    }

    const bool last = pending.is_last();
    const bool slash = pending.slash_follows();
    if (last && slash && (flags & O_CREAT) != 0) return -EISDIR;
    const bool exclusive = (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0;
    const bool follows = slash || ((flags & O_NOFOLLOW) == 0 && !exclusive);
    if (follows) {
      Entry entry = look_at(position.fd(), name);
      if (entry.is_link()) {
        if (const int error = follow(entry.file, position, pending, links); error != 0)
          return error;
        continue;
      }
      const bool creates = last && entry.error == ENOENT && (flags & O_CREAT) != 0;
      if (!entry.file && !creates) return -entry.error;
      const bool wants_directory = slash || (flags & O_DIRECTORY) != 0;
      if (entry.file && wants_directory && !entry.is_directory()) return -ENOTDIR;
      if (!last) {
        position.enter(std::move(entry.file));
        continue;
      }
      if ((flags & O_PATH) != 0) return entry.file.release();
    }
    const int fd = open_entry(position.fd(), name.c_str(),
                              flags | O_NOFOLLOW | (slash ? O_DIRECTORY : 0), mode);
    // It became a symlink after the look at it.
    if (fd == -ELOOP && follows && links++ < kMaxLinks) {
      pending.replace_component(std::string(name));
      continue;
    }
    return fd;
  }
  return open_entry(position.fd(), ".", flags, mode);
}

int open_by_walk(int root, const std::string& path, int flags, mode_t mode) noexcept try {
  if (path.size() >= PATH_MAX) return -ENAMETOOLONG;
  int result = -EAGAIN;
  for (int races = 0; result == -EAGAIN && races < kMaxRaces; ++races)
    result = walk(root, path, flags, mode);
  return result;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

int find_canonical(int root, const std::string& path, std::string& canonical) {
  Position position(root);
  PendingPath pending(path);
  std::vector<std::string> names;
  std::size_t absent = 0;  // how many of the last names are not directories that are there
  int links = 0;
  while (pending.next()) {
    const std::string& name = pending.name();
    if (name == ".") continue;
    if (name == "..") {
      if (!names.empty()) names.pop_back();
      if (absent > 0) {
        --absent;
      } else if (const int error = position.ascend(); error != 0) {
        return error;
      }
      continue;
    }
    if (absent == 0) {
      Entry entry = look_at(position.fd(), name);
      if (!entry.file && entry.error != ENOENT) return -entry.error;
      if (entry.is_link()) {
        if (const int error = follow(entry.file, position, pending, links); error != 0)
          return error;
        names.resize(position.depth());  // an absolute one started again at the root
        continue;
      }
      if (entry.is_directory()) {
        position.enter(std::move(entry.file));
        names.push_back(name);
        continue;
      }
    }
    ++absent;
    names.push_back(name);
  }
  canonical.clear();
  for (const std::string& name : names) canonical += "/" + name;
  if (canonical.empty()) canonical = "/";
  return 0;
}

constexpr int kUndecided = -1;
std::atomic<int> g_resolver{kUndecided};

}  // namespace

PathResolver decide_path_resolver() noexcept {
  // At the start of main() nobody changes the environment yet; later it may only be read.
  const char* forced = std::getenv("STRAKE_NO_OPENAT2");
  if (forced != nullptr && std::string_view(forced) == "1") return PathResolver::walk;
  const FileDescriptor probe(open_by_kernel(AT_FDCWD, "/", O_PATH, 0));
  const int error = -probe.get();
  return error == ENOSYS || error == EPERM || error == EINVAL ? PathResolver::walk
                                                              : PathResolver::kernel;
}

PathResolver path_resolver() noexcept {
  int resolver = g_resolver.load(std::memory_order_relaxed);
  if (resolver == kUndecided) {
    resolver = static_cast<int>(decide_path_resolver());
    g_resolver.store(resolver, std::memory_order_relaxed);
  }
  return static_cast<PathResolver>(resolver);
}

void set_path_resolver(PathResolver resolver) noexcept {
  g_resolver.store(static_cast<int>(resolver), std::memory_order_relaxed);
}

int open_in_root(int root, const std::string& path, int flags, mode_t mode) noexcept {
  if (path.find('\0') != std::string::npos) return -EINVAL;
  if ((flags & O_PATH) != 0) flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW;  // as open(2) does
  if ((flags & (O_CREAT | O_TMPFILE)) == 0) mode = 0;
  if (path_resolver() == PathResolver::walk) return open_by_walk(root, path, flags, mode);
  const int fd = open_by_kernel(root, path.empty() ? "." : path.c_str(), flags, mode);
  // The sysctl fs.protected_symlinks makes the kernel refuse links in directories like /tmp by who
  // owns them. What an image holds must not depend on the host's sysctl, and no link of a tree can
  // lead out of it anyway.
  if (fd == -EACCES) return open_by_walk(root, path, flags, mode);
  // The kernel gives up a ".." whenever anything anywhere is renamed or mounted meanwhile, as a
  // busy machine does all the time. The walk looks at the directories of this path only.
  if (fd == -EAGAIN) return open_by_walk(root, path, flags, mode);
  return fd;
}

int canonical_in_root(int root, const std::string& path, std::string& canonical) noexcept try {
  if (path.find('\0') != std::string::npos) return -EINVAL;
  int result = -EAGAIN;
  for (int races = 0; result == -EAGAIN && races < kMaxRaces; ++races)
    result = find_canonical(root, path, canonical);
  return result;
} catch (const std::bad_alloc&) {
  return -ENOMEM;
}

}  // namespace strake::base
