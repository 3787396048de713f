#include "cache/key_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>

#include "layers/base/error.h"
#include "layers/base/files.h"

// Each lock is an flock(2) on a file of its own, which the holder unlinks before it lets go, so
// that no files pile up. Whoever then gets the lock of the unlinked file sees that its name is gone
// or somebody else's, and starts again.
//
// flock() itself cannot be told to give up, so waiting is: try, then sleep until the holder closes
// the file (inotify tells) or a stop is requested (eventfd). The kernel reports a close shortly
// before it drops the closer's lock, and file systems may report nothing at all; hence the timeout.

namespace strake::cache {
namespace {

using base::FileDescriptor;

FileDescriptor open_lock_file(const std::filesystem::path& file) {
  for (bool made_parent = false;; made_parent = true) {
    FileDescriptor fd(::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd) return fd;
    if (errno != ENOENT || made_parent) throw base::system_error(errno, "lock", file.native());
    base::make_directories(file.parent_path());
  }
}

bool try_flock(int fd, const std::filesystem::path& file) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw base::system_error(errno, "lock", file.native());
  }
  return true;
}

/// Whether `file` is still the name of what `fd` has open.
bool is_current(int fd, const std::filesystem::path& file) {
  struct ::stat open, named;
  return ::fstat(fd, &open) == 0 && ::stat(file.c_str(), &named) == 0 &&
         open.st_dev == named.st_dev && open.st_ino == named.st_ino;
}

[[noreturn]] void throw_cancelled() {
  throw base::Error(base::ErrorCode::cancelled, "cancelled while waiting for another build");
}

void wait_for_flock(int fd, const std::filesystem::path& file, const std::stop_token& stop) {
  const FileDescriptor closes(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (closes) ::inotify_add_watch(closes.get(), file.c_str(), IN_CLOSE);
  const FileDescriptor stops(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  const std::stop_callback wake(stop, [&] { ::eventfd_write(stops.get(), 1); });

  constexpr std::chrono::milliseconds kShortest(1), kLongest(250);
  std::chrono::milliseconds timeout = kLongest;
  // The watch came first: a lock that is dropped between a try and the poll wakes the poll.
  while (!try_flock(fd, file)) {
    if (stop.stop_requested()) throw_cancelled();
    std::array<::pollfd, 2> events{{{closes.get(), POLLIN, 0}, {stops.get(), POLLIN, 0}}};
    ::poll(events.data(), events.size(), static_cast<int>(timeout.count()));
    timeout = std::min(timeout * 2, kLongest);
    std::array<std::byte, 4096> drained;
    while (events[0].revents != 0 && ::read(closes.get(), drained.data(), drained.size()) > 0)
      timeout = kShortest;
  }
}

}  // namespace

KeyLock::KeyLock(const std::filesystem::path& file, const std::stop_token& stop,
                 const std::function<void()>& on_wait)
    : file_(file) {
  for (bool told = false; !held_;) {
    if (stop.stop_requested()) throw_cancelled();
    FileDescriptor fd = open_lock_file(file);
    if (!try_flock(fd.get(), file)) {
      if (on_wait && !told) on_wait();
      told = true;
      wait_for_flock(fd.get(), file, stop);
    }
    if (is_current(fd.get(), file)) held_ = std::move(fd);
  }
}

KeyLock& KeyLock::operator=(KeyLock&& other) noexcept {
  if (this == &other) return *this;
  unlock();
  file_ = std::move(other.file_);
  held_ = std::move(other.held_);
  return *this;
}

void KeyLock::unlock() noexcept {
  if (!held_) return;
  ::unlink(file_.c_str());
  // Before the close, so that whoever the close wakes up finds the lock free. It also frees the
  // lock when a child that was just forked still has the descriptor.
  ::flock(held_.get(), LOCK_UN);
  held_.reset();
}

}  // namespace strake::cache
