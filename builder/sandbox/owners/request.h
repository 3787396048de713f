#pragma once

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/stat.h>

#include <cstdint>

#include "builder/sandbox/owners/calls.h"
#include "builder/sandbox/owners/listener.h"
#include "builder/sandbox/owners/step_thread.h"
#include "layers/base/recorded_owner.h"

namespace strake::sandbox {

/// One call that waits for its answer.
struct Request {
  Call call;
  const seccomp_notif& notification;
  const StepThread& thread;
  const Listener& listener;

  std::uint64_t word(int index) const noexcept { return notification.data.args[index]; }
  int integer(int index) const noexcept { return static_cast<int>(word(index)); }
  std::uint32_t id(int index) const noexcept { return static_cast<std::uint32_t>(word(index)); }
  /// To be asked after everything was opened and before anything is changed: the pid could have
  /// become another process's.
  bool still_waits() const noexcept { return listener.still_waits(notification.id); }
};

/// An open file and what a step should see of it.
struct OwnedFile {
  base::FileDescriptor file;  // O_PATH
  struct ::stat status = {};  // what the file system says
  std::optional<base::RecordedOwner> recorded;

  /// With what is recorded.
  struct ::stat seen() const noexcept {
    struct ::stat result = status;
    if (recorded) base::apply_recorded_owner(*recorded, result);
    return result;
  }
};

/// Fills in the rest for `owned.file`. Returns 0 or errno.
int look_up_owner(OwnedFile& owned) noexcept;

/// Gives an open file another record. A file system that cannot keep it, like those of the kernel,
/// is none whose files get into a layer: then the owner is lost, and that is no error.
int change_record(const base::FileDescriptor& file, mode_t type,
                  const base::RecordedOwner& owner) noexcept;

}  // namespace strake::sandbox
