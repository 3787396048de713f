#pragma once

#include <string>
#include <thread>

#include "builder/sandbox/owners/calls.h"
#include "builder/sandbox/owners/credentials.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// Answers the system calls that a step cannot make in this user namespace, from a thread of its
/// own, until the step's last process is dead or this object is.
class OwnerSupervisor {
 public:
  /// `first` is who the command starts as; for Supervision::owners. Throws Error(system).
  OwnerSupervisor(Supervision supervision, Credentials first);
  /// The step must be dead: calls that wait would fail with ENOSYS.
  ~OwnerSupervisor();
  OwnerSupervisor(const OwnerSupervisor&) = delete;
  OwnerSupervisor& operator=(const OwnerSupervisor&) = delete;

  /// The socket by which init sends the listener of its filter. The supervisor waits for it until
  /// all copies are closed, so close_channel() when init has its own.
  int channel() const noexcept { return theirs_.get(); }
  void close_channel() noexcept { theirs_.reset(); }

 private:
  base::FileDescriptor ours_, theirs_;  // a pair of sockets
  base::FileDescriptor stop_;           // an eventfd
  std::thread thread_;
};

}  // namespace strake::sandbox
