#include "layers/base/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "layers/base/error.h"
#include "layers/base/tree_removal.h"

namespace strake::base {
namespace fs = std::filesystem;
namespace {

/// Makes one directory of ours. The umask may have taken bits from it that we need.
bool make_private_directory(const fs::path& path) {
  if (::mkdir(path.c_str(), 0700) == 0) {
    if (::chmod(path.c_str(), 0700) != 0)
      throw system_error(errno, "create directory", path.native());
    return true;
  }
  return false;
}

fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

}  // namespace

TempDirectory::TempDirectory(const fs::path& parent, std::string_view prefix) {
  while (true) {
    fs::path path = parent / (std::string(prefix) + random_name());
    if (make_private_directory(path)) {
      path_ = std::move(path);
      return;
    }
    if (errno != EEXIST) throw system_error(errno, "create directory", path.native());
  }
}

TempDirectory::TempDirectory(TempDirectory&& other) noexcept : path_(other.take()) {}

TempDirectory& TempDirectory::operator=(TempDirectory&& other) noexcept {
  if (this != &other) {
    remove_tree(path_);
    path_ = other.take();
  }
  return *this;
}

TempDirectory::~TempDirectory() {
  remove_tree(path_);
}

fs::path TempDirectory::take() noexcept {
  return std::exchange(path_, fs::path());
}

void remove_tree(const fs::path& path) noexcept {
  const fs::path entry = without_trailing_slash(path);
  const std::string name = entry.filename().native();
  if (name.empty() || name == "." || name == "..") return;
  const fs::path parent = entry.has_parent_path() ? entry.parent_path() : fs::path(".");
  const FileDescriptor directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (directory) static_cast<void>(remove_entry(directory.get(), name));
}

namespace {

FileDescriptor open_lock_file(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) throw system_error(errno, "open lock", file.native());
  return FileDescriptor(fd);
}

/// A lock on a file that is no longer at `path` excludes nobody.
bool is_still_at(const FileDescriptor& file, const fs::path& path) {
  struct ::stat held, named;
  if (::fstat(file.get(), &held) != 0) throw system_error(errno, "look at lock", path.native());
  return ::lstat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev &&
         held.st_ino == named.st_ino;
}

/// Returns false if another process has the lock and `operation` says not to wait.
bool acquire(const FileDescriptor& file, int operation, const fs::path& path) {
  while (::flock(file.get(), operation) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw system_error(errno, "lock", path.native());
  }
  return true;
}

int operation_of(FileLock::Mode mode) {
  return mode == FileLock::Mode::shared ? LOCK_SH : LOCK_EX;
}

}  // namespace

FileLock::FileLock(const fs::path& file, Mode mode) {
  do {
    file_ = open_lock_file(file);
    acquire(file_, operation_of(mode), file);
  } while (!is_still_at(file_, file));
}

std::optional<FileLock> FileLock::try_lock(const fs::path& file, Mode mode) {
  while (true) {
    FileDescriptor handle = open_lock_file(file);
    if (!acquire(handle, operation_of(mode) | LOCK_NB, file)) return std::nullopt;
    if (is_still_at(handle, file)) return FileLock(std::move(handle));
  }
}

namespace {

/// A file beside its destination; unlinked unless it was moved there.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const fs::path& destination)
      : path_(destination.parent_path() /
              ("." + destination.filename().native() + "." + random_name())) {
    constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    file_ = FileDescriptor(::open(path_.c_str(), kFlags, 0600));
    if (!file_) throw system_error(errno, "create", path_.native());
  }
  ~UnfinishedFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  int fd() const noexcept { return file_.get(); }
  void move_to(const fs::path& destination) {
    if (::rename(path_.c_str(), destination.c_str()) != 0)
      throw system_error(errno, "rename a new file to", destination.native());
    path_.clear();
  }

 private:
  fs::path path_;
  FileDescriptor file_;
};

void sync_directory(const fs::path& path) {
  const FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0)
    throw system_error(errno, "sync directory", path.native());
}

}  // namespace

void write_file_atomically(const fs::path& file, std::string_view content, mode_t mode,
                           Durability durability) {
  UnfinishedFile unfinished(file);
  write_full(unfinished.fd(), bytes_of(content), file.native());
  if (::fchmod(unfinished.fd(), mode) != 0) throw system_error(errno, "write", file.native());
  // After a failed sync the kernel may have dropped the bytes: a second one proves nothing.
  if (durability == Durability::synced && ::fdatasync(unfinished.fd()) != 0)
    throw system_error(errno, "sync", file.native());
  unfinished.move_to(file);
  if (durability == Durability::synced)
    sync_directory(file.has_parent_path() ? file.parent_path() : fs::path("."));
}

std::optional<std::string> read_file(const fs::path& file, std::size_t limit_bytes) {
  const FileDescriptor handle(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (handle) return read_all(handle.get(), limit_bytes, file.native());
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw system_error(errno, "open", file.native());
}

void make_directories(const fs::path& path) {
  const fs::path directory = without_trailing_slash(path);
  if (directory.empty() || make_private_directory(directory)) return;
  if (errno == ENOENT && directory.has_parent_path() && directory != directory.parent_path()) {
    make_directories(directory.parent_path());
    // Another process may make it at the same moment.
    if (make_private_directory(directory)) return;
  }
  if (errno != EEXIST) throw system_error(errno, "create directory", directory.native());
  struct ::stat status;
  if (::stat(directory.c_str(), &status) != 0)
    throw system_error(errno, "create directory", directory.native());
  if (!S_ISDIR(status.st_mode)) throw system_error(ENOTDIR, "create directory", directory.native());
}

std::string random_name() {
  unsigned char bytes[8];
  std::size_t done = 0;
  while (done < sizeof bytes) {
    const ssize_t count = ::getrandom(bytes + done, sizeof bytes - done, 0);
    if (count > 0) done += static_cast<std::size_t>(count);
    if (count < 0 && errno != EINTR) throw system_error(errno, "read", "random numbers");
  }
  static constexpr char kHex[] = "0123456789abcdef";
  std::string name;
  for (const unsigned char byte : bytes) {
    name += kHex[byte >> 4];
    name += kHex[byte & 15];
  }
  return name;
}

const std::string& boot_id() {
  static const std::string id = [] {
    std::string text = read_file("/proc/sys/kernel/random/boot_id", 100).value_or("");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }();
  return id;
}

}  // namespace strake::base
