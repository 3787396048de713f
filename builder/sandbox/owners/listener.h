#pragma once

#include <linux/seccomp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "layers/base/fd.h"

namespace strake::sandbox {

/// What a call that was sent to the supervisor comes to.
class Answer {
 public:
  /// The kernel does the call, as if nobody had asked.
  static Answer proceed() { return Answer(); }
  static Answer result(std::int64_t value);
  static Answer error(int errnum);
  /// 0 is success.
  static Answer of(int errnum) { return errnum == 0 ? result(0) : error(errnum); }
  /// The call opens a file: this one, under a number of the process's own.
  static Answer open_file(base::FileDescriptor file, bool close_on_exec);

 private:
  friend class Listener;
  enum class Kind { proceed, result, error, open_file };
  Kind kind_ = Kind::proceed;
  std::int64_t value_ = 0;
  base::FileDescriptor file_;
  bool close_on_exec_ = false;
};

/// The end of a seccomp filter at which the calls arrive that it sends (seccomp_unotify(2)).
class Listener {
 public:
  explicit Listener(base::FileDescriptor fd);

  /// Readable (poll) when a call waits; hung up when all processes under the filter are dead.
  int fd() const noexcept { return fd_.get(); }

  /// The next call; nullopt if its process died meanwhile. Valid until the next time.
  const struct seccomp_notif* receive();
  /// Whether the process still waits for the answer, and so its pid is still its own.
  bool still_waits(std::uint64_t id) const noexcept;
  /// Does nothing when the process is dead.
  void answer(std::uint64_t id, const Answer& answer) const noexcept;

 private:
  base::FileDescriptor fd_;
  std::size_t size_bytes_;  // of a notification, as the kernel writes it
  std::unique_ptr<std::byte[]> buffer_;
};

}  // namespace strake::sandbox
