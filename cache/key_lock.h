#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>

#include "layers/base/fd.h"

namespace strake::cache {

/// The right to execute the step of one cache key, among all threads and processes that use the
/// store. Held until destruction (or the end of the process); its file is removed with it.
class KeyLock {
 public:
  /// Holds nothing: for caches that have no other users.
  KeyLock() = default;
  /// Waits until the lock on `file` is had. `on_wait` is called once, from this thread, if it has
  /// to wait at all. Throws Error(cancelled) as soon as `stop` is requested, Error otherwise.
  KeyLock(const std::filesystem::path& file, const std::stop_token& stop,
          const std::function<void()>& on_wait = {});
  KeyLock(KeyLock&& other) noexcept = default;
  KeyLock& operator=(KeyLock&& other) noexcept;
  ~KeyLock() { unlock(); }

  explicit operator bool() const noexcept { return static_cast<bool>(held_); }
  void unlock() noexcept;

 private:
  std::filesystem::path file_;
  base::FileDescriptor held_;
};

}  // namespace strake::cache
