#include "layers/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/copied_roots.h"
#include "layers/tree_owners.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::FileLock;
using base::system_error;

namespace {

constexpr int kFormat = 1;
constexpr std::string_view kDeadSuffix = ".dead";
constexpr const char* kVersion = "version";

/// Parents first.
constexpr std::array kDirectories = {"blobs",          "blobs/sha256", "layers",    "cache",
                                     "memo",           "mounts",       "images",    "ingest",
                                     "ingest/partial", "locks",        "quarantine"};

FileDescriptor open_root(const fs::path& root) {
  // The last component may not be a symlink: whoever owns it would own what we trust.
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  int fd = ::open(root.c_str(), kFlags);
  if (fd < 0 && errno == ENOENT) {
    base::make_directories(root);
    fd = ::open(root.c_str(), kFlags);
  }
  if (fd < 0) throw system_error(errno, "open store", root.native());
  return FileDescriptor(fd);
}

void require_ours_alone(int directory, const fs::path& root) {
  struct ::stat status;
  if (::fstat(directory, &status) != 0) throw system_error(errno, "look at store", root.native());
  if (status.st_uid != ::geteuid())
    throw Error(ErrorCode::denied, "store " + base::quoted(root.native()) + " belongs to user " +
                                       std::to_string(status.st_uid) + ", not to user " +
                                       std::to_string(::geteuid()))
        .hint("choose another directory with --root");
  if ((status.st_mode & 077) != 0)
    throw Error(ErrorCode::denied,
                "store " + base::quoted(root.native()) + " is accessible to other users")
        .hint("run: chmod 700 " + root.native());
}

/// 0 if there is none yet. After a power cut the file may be there without its content: see
/// make_layout().
int read_format(int directory, const fs::path& root) {
  const std::string shown = (root / kVersion).native();
  const FileDescriptor file(::openat(directory, kVersion, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) {
    if (errno == ENOENT) return 0;
    throw system_error(errno, "open", shown);
  }
  std::array<char, 32> text = {};
  const std::size_t size =
      base::read_full(file.get(), std::as_writable_bytes(std::span(text)), shown);
  if (size == 0) return 0;
  int format = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + size, format);
  if (error != std::errc() || format <= 0 || end == text.data() + size || *end != '\n')
    throw Error(ErrorCode::corrupt, base::quoted(shown) + " is not the version file of a store")
        .hint("choose another directory with --root, or remove this one");
  return format;
}

/// Made when they are needed.
constexpr std::array kMadeLater = {"owners", "mount-points", "uploads"};

/// A slip of --root must not fill somebody's home directory with our folders. (A store whose making
/// was interrupted, or which lost its version, holds nothing but those.)
void require_nothing_foreign(int directory, const fs::path& root) {
  for (const std::string& name : base::list_directory(directory, root.native())) {
    const bool unfinished = name.starts_with(".version.") || name.starts_with(".owners.");
    const bool known = name == kVersion || unfinished ||
                       std::ranges::find(kDirectories, name) != kDirectories.end() ||
                       std::ranges::find(kMadeLater, name) != kMadeLater.end();
    if (!known)
      throw Error(ErrorCode::invalid_input, base::quoted(root.native()) +
                                                " is not a store, and not empty: it holds " +
                                                base::quoted(name))
          .hint("choose another directory with --root");
  }
}

/// Nothing is synced. A journal keeps names in the order in which they were made, so that after a
/// power cut a version has its directories; but its content may be missing, which then means that
/// the store was made shortly before. Making it again costs nothing, and takes nothing away: what
/// else survived stays, and is held against its own digests and records.
void make_layout(int directory, const fs::path& root) {
  require_nothing_foreign(directory, root);
  for (const char* name : kDirectories) {
    if (::mkdirat(directory, name, 0700) != 0 && errno != EEXIST)
      throw system_error(errno, "create directory", (root / name).native());
  }
  // Last, so that a store with a version is a whole one.
  base::write_file_atomically(root / kVersion, std::to_string(kFormat) + "\n", 0600,
                              base::Durability::none);
}

}  // namespace

/// The directory of this process in ingest/. Whoever gets its lock knows the process to be dead.
struct Store::Session {
  base::TempDirectory directory;
  FileLock alive;
};

Store::Store(fs::path root, FileDescriptor directory, FileLock use)
    : root_(std::move(root)),
      directory_(std::move(directory)),
      use_(std::move(use)),
      xattrs_(usable_xattr_namespace()),
      mutex_(std::make_unique<std::mutex>()),
      copied_roots_(std::make_unique<CopiedRoots>()) {}

Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

std::optional<Store> Store::open(const fs::path& given, FileLock::Mode mode) {
  fs::path root = fs::absolute(given).lexically_normal();
  if (!root.has_filename()) root = root.parent_path();
  FileDescriptor directory = open_root(root);
  require_ours_alone(directory.get(), root);
  const int format = read_format(directory.get(), root);
  if (format > kFormat)
    throw Error(ErrorCode::unsupported, "store " + base::quoted(root.native()) + " has format " +
                                            std::to_string(format) + ", this strake knows " +
                                            std::to_string(kFormat))
        .hint("use the newer strake that made it, or another directory with --root");
  if (format == 0) make_layout(directory.get(), root);

  const fs::path lock_file = root / "locks" / "store";
  if (mode == FileLock::Mode::shared)
    return Store(std::move(root), std::move(directory), FileLock(lock_file, mode));
  std::optional<FileLock> lock = FileLock::try_lock(lock_file, mode);
  if (!lock) return std::nullopt;
  return Store(std::move(root), std::move(directory), std::move(*lock));
}

Store Store::open(const fs::path& root) {
  return *open(root, FileLock::Mode::shared);
}

std::optional<Store> Store::try_open_exclusive(const fs::path& root) {
  return open(root, FileLock::Mode::exclusive);
}

namespace {

/// Takes what dead processes left in `ingest` out of the way, and returns where it is now. The
/// caller holds the lock under which sessions are made, so each session here has its own lock held
/// or is dead.
std::vector<fs::path> collect_leftovers(const fs::path& ingest) {
  std::vector<fs::path> dead;
  const FileDescriptor directory(::open(ingest.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open", ingest.native());
  for (const std::string& name : base::list_directory(directory.get(), ingest.native())) {
    fs::path path = ingest / name;
    if (name == "partial") continue;
    if (!name.ends_with(kDeadSuffix)) {
      struct ::stat status;
      if (::lstat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) continue;
      if (!FileLock::try_lock(path / "lock", FileLock::Mode::exclusive)) continue;
      const fs::path renamed = path.native() + std::string(kDeadSuffix);
      if (::rename(path.c_str(), renamed.c_str()) != 0) continue;
      path = renamed;
    }
    dead.push_back(std::move(path));
  }
  return dead;
}

}  // namespace

Store::Session& Store::session() const {
  const std::lock_guard guard(*mutex_);
  if (session_) return *session_;

  FileLock making = lock("ingest");
  require_own_trees(root_, xattrs_);
  const std::vector<fs::path> leftovers = collect_leftovers(ingest());
  base::TempDirectory directory(ingest(), "");
  FileLock alive(directory.path() / "lock", FileLock::Mode::exclusive);
  session_ = std::make_unique<Session>(Session{std::move(directory), std::move(alive)});
  making.unlock();

  for (const fs::path& path : leftovers) {
    base::log_debug("removing unfinished work of a dead process: " + path.native());
    base::remove_tree(path);
  }
  return *session_;
}

base::TempDirectory Store::make_ingest(std::string_view prefix) const {
  return base::TempDirectory(session().directory.path(), prefix);
}

FileLock Store::lock(std::string_view name) const {
  return FileLock(locks() / name, FileLock::Mode::exclusive);
}

void Store::set_aside(const fs::path& path) const {
  const fs::path to = quarantine() / (path.filename().native() + "." + base::random_name());
  if (::rename(path.c_str(), to.c_str()) != 0 && errno != ENOENT)
    throw system_error(errno, "quarantine", path.native());
}

std::vector<fs::path> Store::abandoned(std::chrono::system_clock::time_point then) const {
  const auto limit = std::chrono::system_clock::to_time_t(then);
  std::vector<fs::path> found;
  for (const fs::path& place : {ingest() / "partial", uploads(), quarantine()}) {
    const FileDescriptor directory(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory && errno == ENOENT) continue;  // nothing was ever there
    if (!directory) throw system_error(errno, "open", place.native());
    for (const std::string& name : base::list_directory(directory.get(), place.native())) {
      struct ::stat status;
      const int flags = AT_SYMLINK_NOFOLLOW;
      if (::fstatat(directory.get(), name.c_str(), &status, flags) != 0) continue;
      if (status.st_ctim.tv_sec <= limit) found.push_back(place / name);
    }
  }
  return found;
}

}  // namespace strake::layers
