#include "builder/exec/cache_mounts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "layers/base/digest.h"
#include "layers/base/error.h"
#include "layers/base/recorded_owner.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileLock;
using dockerfile::CacheSharing;
namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLockPoll{50};

/// The lock on one numbered directory, for as long as it takes. flock(2) cannot be interrupted by a
/// stop token, so it is asked again and again.
FileLock wait_for(const fs::path& file, FileLock::Mode mode, const std::stop_token& stop,
                  const std::function<void()>& on_wait) {
  std::mutex mutex;
  std::condition_variable_any wake;
  for (bool waited = false;; waited = true) {
    if (auto lock = FileLock::try_lock(file, mode)) return std::move(*lock);
    if (!waited && on_wait) on_wait();
    std::unique_lock guard(mutex);
    wake.wait_for(guard, stop, kLockPoll, [] { return false; });
    if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "step stopped");
  }
}

int set_owner(int directory, const layers::Store& store, uid_t uid, gid_t gid) {
  if (store.xattr_namespace() == layers::XattrNamespace::user)
    return base::give_or_record_owner(directory, S_IFDIR, uid, gid);
  return ::fchown(directory, uid, gid) == 0 ? 0 : errno;
}

void make_data(const fs::path& data, const layers::Store& store, const CacheMountRequest& request) {
  base::TempDirectory made = store.make_ingest("cache-mount-");
  const base::FileDescriptor directory(
      ::open(made.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw base::system_error(errno, "open", made.path().native());
  if (request.fill) {
    request.fill(directory.get());
  } else if (const int error = set_owner(directory.get(), store, request.uid, request.gid);
             error != 0 || ::fchmod(directory.get(), request.mode) != 0) {
    throw base::system_error(error != 0 ? error : errno, "set owner and mode of",
                             "cache mount " + request.id);
  }
  // Of several steps that make it at the same time one comes first; the others take its directory.
  if (::renameat2(AT_FDCWD, made.path().c_str(), AT_FDCWD, data.c_str(), RENAME_NOREPLACE) == 0) {
    (void)made.take();
  } else if (errno != EEXIST) {
    throw base::system_error(errno, "make", "cache mount " + request.id);
  }
}

}  // namespace

std::string cache_mount_name(const CacheMountRequest& request) {
  std::string text;
  for (const std::uint32_t number : {request.mode, request.uid, request.gid})
    text += std::to_string(number) + '\0';
  return base::Digest::of(text + request.source + '\0' + request.id).hex();
}

CacheMount::CacheMount(const layers::Store& store, const CacheMountRequest& request,
                       const std::stop_token& stop, const std::function<void()>& on_wait) {
  const std::string name = cache_mount_name(request);
  const auto lock_file = [&](int number) {
    return store.locks() / ("cache-mount-" + name + "-" + std::to_string(number));
  };
  int number = 0;
  if (request.sharing == CacheSharing::private_) {
    for (;; ++number) {
      auto lock = FileLock::try_lock(lock_file(number), FileLock::Mode::exclusive);
      if (!lock) continue;
      lock_ = std::move(*lock);
      break;
    }
  } else {
    const auto mode = request.sharing == CacheSharing::locked ? FileLock::Mode::exclusive
                                                              : FileLock::Mode::shared;
    lock_ = wait_for(lock_file(0), mode, stop, on_wait);
  }
  const fs::path home = store.mounts() / name;
  const fs::path data = home / std::to_string(number) / "data";
  struct ::stat status;
  if (::lstat(data.c_str(), &status) != 0) {
    base::make_directories(data.parent_path());
    make_data(data, store, request);
  }
  // What pruning takes as the time of the last use.
  ::utimensat(AT_FDCWD, home.c_str(), nullptr, 0);
  directory_ =
      base::FileDescriptor(::open(data.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory_) throw base::system_error(errno, "open", data.native());
}

}  // namespace strake::builder
