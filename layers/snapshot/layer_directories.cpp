#include "layers/snapshot/layer_directories.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "layers/base/error.h"

namespace strake::layers {
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::system_error;

namespace {

constexpr std::size_t kOpenDirectories = 32;
constexpr int kLinksFollowed = 40;
constexpr std::uint32_t kImplicitMode = 0755;

FileDescriptor duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) throw system_error(errno, "duplicate", "file descriptor");
  return FileDescriptor(copy);
}

bool is_within(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

}  // namespace

std::string join_path(std::string_view directory, std::string_view name) {
  std::string path;
  path.reserve(directory.size() + 1 + name.size());
  path.append(directory);
  if (!path.empty()) path += '/';
  return path.append(name);
}

bool is_below(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path[directory.size()] == '/' &&
         path.starts_with(directory);
}

std::pair<std::string_view, std::string_view> split_path(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {{}, path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

LayerDirectories::LayerDirectories(int root, NodeMaker& maker, bool overlay_form, Hooks hooks)
    : root_(std::make_shared<const FileDescriptor>(duplicate(root))),
      maker_(maker),
      overlay_form_(overlay_form),
      hooks_(std::move(hooks)),
      rooted_(duplicate(root)) {}

auto LayerDirectories::cached(std::string_view path) -> const Open* {
  const auto found = std::ranges::find(open_, path, &Open::path);
  if (found == open_.end()) return nullptr;
  open_.splice(open_.begin(), open_, found);
  return &open_.front();
}

void LayerDirectories::remember(std::string path, FileDescriptor fd) {
  if (open_.size() >= kOpenDirectories) open_.pop_back();
  open_.push_front({std::move(path), std::make_shared<const FileDescriptor>(std::move(fd))});
}

void LayerDirectories::forget(std::string_view path) {
  open_.remove_if([path](const Open& open) { return is_within(open.path, path); });
}

/// Empty with errno ENOENT, ENOTDIR (also for a symlink) or another one.
FileDescriptor LayerDirectories::open_child(int parent, const std::string& name) const {
  return FileDescriptor(
      ::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

FileDescriptor LayerDirectories::make_child(int parent, const std::string& name,
                                            const std::string& path, struct timespec mtime) {
  TarEntry entry;
  entry.path = path;
  entry.type = EntryType::directory;
  entry.mode = kImplicitMode;
  bool has_mode = false;
  if (const int error = maker_.create_directory(parent, name, entry, has_mode); error != 0)
    throw system_error(error, "create directory", path);
  FileDescriptor directory = open_child(parent, name);
  if (!directory) throw system_error(errno, "open directory", path);
  maker_.set_directory_metadata(directory.get(), entry);
  defer(path, kImplicitMode, mtime, has_mode);
  hooks_.made(path);
  return directory;
}

auto LayerDirectories::find(std::string_view wanted, Missing missing, struct timespec mtime)
    -> std::optional<Directory> {
  std::string path(wanted);
  int links = 0;
  // Start at the deepest directory that is open, and go down from there.
  std::size_t done = path.size();
  std::shared_ptr<const FileDescriptor> opened;
  const auto start = [&] {
    done = path.size();
    const Open* open = nullptr;
    while (done > 0 && (open = cached(std::string_view(path).substr(0, done))) == nullptr) {
      const std::size_t slash = path.rfind('/', done - 1);
      done = slash == std::string::npos ? 0 : slash;
    }
    opened = open != nullptr ? open->fd : root_;
  };
  start();
  while (done < path.size()) {
    const std::size_t begin = done == 0 ? 0 : done + 1;
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string name = path.substr(begin, end - begin);
    std::string child = path.substr(0, end);

    const int current = opened->get();
    FileDescriptor directory = open_child(current, name);
    if (!directory && errno == ENOENT) {
      if (hooks_.settle(child)) continue;
      if (missing == Missing::tell) return std::nullopt;
      directory = make_child(current, name, child, mtime);
    } else if (!directory && errno == ENOTDIR) {
      struct ::stat status;
      if (::fstatat(current, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
        throw system_error(errno, "look at", child);
      if (S_ISLNK(status.st_mode)) {
        if (++links > kLinksFollowed) throw system_error(ELOOP, "follow", child);
        hooks_.settle(child);
        path = rooted_.canonical(child).substr(1) + path.substr(end);
        while (path.starts_with('/')) path.erase(0, 1);
        start();
        continue;
      }
      if (!overlay_form_ || !is_whiteout(current, name.c_str(), status))
        throw Error(ErrorCode::corrupt, base::quoted(child) + " is not a directory");
      // Removed from the lower layers and made anew in this one.
      if (missing == Missing::tell) return std::nullopt;
      if (::unlinkat(current, name.c_str(), 0) != 0) throw system_error(errno, "replace", child);
      directory = make_child(current, name, child, mtime);
      maker_.make_opaque(directory.get(), child);
    } else if (!directory) {
      throw system_error(errno, "open directory", child);
    }
    remember(std::move(child), std::move(directory));
    opened = open_.front().fd;
    done = end;
  }
  return Directory{std::move(opened), std::move(path)};
}

void LayerDirectories::defer(std::string path, std::uint32_t mode, struct timespec mtime,
                             bool has_mode) {
  deferred_.push_back({std::move(path), mode, mtime, has_mode});
}

void LayerDirectories::clear(const Directory& parent, const std::string& name) {
  if (::unlinkat(parent.fd(), name.c_str(), 0) == 0) return;
  if (errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM)
    throw system_error(errno, "replace", join_path(parent.path, name));
  remove(join_path(parent.path, name));
}

void LayerDirectories::remove(const std::string& path) {
  removed_ = true;
  forget(path);
  rooted_.remove_tree(path);
}

void LayerDirectories::finish() {
  // A path sorts before what is below it, so backwards means children first; of several words on
  // one path the last comes first then.
  std::ranges::stable_sort(deferred_, {}, &Deferred::path);
  const std::string* last = nullptr;
  for (auto deferred = deferred_.rbegin(); deferred != deferred_.rend(); ++deferred) {
    if (last != nullptr && *last == deferred->path) continue;
    last = &deferred->path;
    finish(*deferred);
  }
  deferred_.clear();
}

void LayerDirectories::finish(const Deferred& deferred) {
  const auto& [path, mode, mtime, has_mode] = deferred;
  if (path.empty()) return maker_.finish_directory(root_->get(), "/", mode, mtime);
  const auto [parent_path, name] = split_path(path);
  // Whatever a later entry put in its place has had its metadata already.
  const std::shared_ptr<const FileDescriptor> parent = reopen(parent_path);
  if (!parent) return;
  if (has_mode && !removed_)
    return maker_.set_directory_time(parent->get(), std::string(name), path, mtime);
  const FileDescriptor directory = open_child(parent->get(), std::string(name));
  if (!directory && (errno == ENOENT || errno == ENOTDIR)) return;
  if (!directory) throw system_error(errno, "open directory", path);
  maker_.finish_directory(directory.get(), path, mode, mtime);
}

/// The directory if it still is one; never through a symlink.
std::shared_ptr<const FileDescriptor> LayerDirectories::reopen(std::string_view path) {
  if (path.empty()) return root_;
  if (const Open* open = cached(path)) return open->fd;
  try {
    const std::optional<Directory> found = find(path, Missing::tell);
    return found && found->path == path ? found->opened : nullptr;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    return nullptr;  // a file took its place
  }
}

}  // namespace strake::layers
