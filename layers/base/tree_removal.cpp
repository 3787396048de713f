#include "layers/base/tree_removal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "layers/base/directory_reader.h"
#include "layers/base/fd.h"
#include "layers/base/file_identity.h"

// A tree may be deeper than the process may have descriptors, and deeper than a path may be long.
// So only the directory being emptied is open; what waits are names. The way back up is "..",
// checked to be the directory we came from: if somebody moved it meanwhile we stop instead of
// deleting elsewhere.

namespace strake::base {
namespace {

class TreeRemoval {
 public:
  explicit TreeRemoval(int parent) : parent_(parent) {}

  int remove(const std::string& name) {
    if (const int error = identify(parent_, top_); error != 0) return error;
    if (::unlinkat(parent_, name.c_str(), 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && !is_directory(parent_, name)) return -errno;
    if (const int error = enter(name); error != 0) return error;
    while (!levels_.empty()) {
      Level& level = levels_.back();
      const bool nothing_left = level.directories.empty();
      const int error = nothing_left ? leave() : enter_next(level);
      if (error != 0) return error;
    }
    return 0;
  }

 private:
  struct Level {
    std::string name;
    FileIdentity identity;
    std::vector<std::string> directories = {};  // still to be removed
  };

  static bool is_directory(int directory, const std::string& name) {
    const int error = errno;
    struct ::stat status;
    const bool yes = ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                     S_ISDIR(status.st_mode);
    errno = error;
    return yes;
  }

  int current() const { return levels_.empty() ? parent_ : current_.get(); }

  int enter_next(Level& level) {
    const std::string name = std::move(level.directories.back());
    level.directories.pop_back();
    const int error = enter(name);
    return error == -ENOENT ? 0 : error;
  }

  /// Opens the directory `name` of the current one, makes it the current one, and empties it but
  /// for its directories.
  int enter(const std::string& name) {
    FileDescriptor directory(open_directory(name));
    if (!directory) return directory.get();
    FileIdentity identity;
    if (const int error = identify(directory.get(), identity); error != 0) return error;
    if (!identity.same_mount(top_)) return -EBUSY;
    if ((identity.mode & S_IRWXU) != S_IRWXU && ::geteuid() != 0)
      static_cast<void>(::fchmod(directory.get(), S_IRWXU));
    levels_.push_back({name, identity});
    current_ = std::move(directory);
    return remove_files();
  }

  int open_directory(const std::string& name) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = ::openat(current(), name.c_str(), kFlags);
    if (fd < 0 && errno == EACCES) {
      // Our own, but not readable to us: an ordinary user's copy of a root-only directory.
      if (::fchmodat(current(), name.c_str(), S_IRWXU, AT_SYMLINK_NOFOLLOW) != 0) return -EACCES;
      fd = ::openat(current(), name.c_str(), kFlags);
    }
    return fd < 0 ? -errno : fd;
  }

  int remove_files() {
    DirectoryReader reader(current_.get());
    while (const ::dirent64* entry = reader.next()) {
      if (entry->d_type == DT_DIR) {
        levels_.back().directories.emplace_back(entry->d_name);
      } else if (::unlinkat(current_.get(), entry->d_name, 0) != 0 && errno != ENOENT) {
        if (errno != EISDIR) return -errno;
        levels_.back().directories.emplace_back(entry->d_name);
      }
    }
    return -reader.error();
  }

  /// Goes up from the current directory, which is empty now, and removes it.
  int leave() {
    const Level done = std::move(levels_.back());
    levels_.pop_back();
    if (levels_.empty()) {
      current_.reset();
    } else {
      FileDescriptor up(
          ::openat(current_.get(), "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!up) return -errno;
      FileIdentity identity;
      if (const int error = identify(up.get(), identity); error != 0) return error;
      if (!identity.same_file(levels_.back().identity)) return -EBUSY;
      current_ = std::move(up);
    }
    if (::unlinkat(current(), done.name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
    if (errno != ENOTEMPTY && errno != EEXIST) return -errno;
    return try_again(done.name);
  }

  /// Entries came up while `name` was being emptied, or the file system left some out of the
  /// listing because others were removed during it.
  int try_again(const std::string& name) {
    if (++retries_ > kMaxRetries) return -ENOTEMPTY;
    return enter(name);
  }

  static constexpr int kMaxRetries = 1000;

  const int parent_;
  FileIdentity top_;
  FileDescriptor current_;  // the directory of levels_.back()
  std::vector<Level> levels_;
  int retries_ = 0;
};

}  // namespace

int remove_entry(int parent, const std::string& name) {
  return TreeRemoval(parent).remove(name);
}

}  // namespace strake::base
