#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>

#include "builder/dockerfile/run_mount.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"
#include "layers/store.h"

namespace strake::builder {

/// What a cache mount is, and how it looks when it is made. One that would be made differently is
/// another one, as in docker: a step finds the owner and the content that it asks for.
struct CacheMountRequest {
  std::string id;
  dockerfile::CacheSharing sharing = dockerfile::CacheSharing::shared;
  std::uint32_t mode = 0755, uid = 0, gid = 0;
  std::string source;  // what `fill` puts into it, by content; "" for nothing
  /// Fills the new, empty directory (open for reading); empty: nothing.
  std::function<void(int directory)> fill = {};
};

/// The name of its directory. Requests of one name are for the same cache mount, and a step may
/// hold each only once: it would wait for itself. Steps that hold several take them in the order of
/// these names, or they would wait for each other.
std::string cache_mount_name(const CacheMountRequest& request);

/// A directory that RUN steps keep between builds, in use by one step.
///
/// `<store>/mounts/<cache_mount_name()>/<n>/data` with its locks in locks/. Number 0 is shared by
/// all that ask for `shared`, and held alone by one that asks for `locked`; `private` takes the
/// first number that nobody holds. The locks are flocks: the end of a process frees them.
class CacheMount {
 public:
  /// Waits until the directory may be used; `on_wait` is called once if it has to. Throws
  /// Error(cancelled) as soon as `stop` is requested.
  CacheMount(const layers::Store& store, const CacheMountRequest& request,
             const std::stop_token& stop, const std::function<void()>& on_wait);

  /// The directory, O_PATH.
  int fd() const noexcept { return directory_.get(); }

 private:
  base::FileLock lock_;
  base::FileDescriptor directory_;
};

}  // namespace strake::builder
