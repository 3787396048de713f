#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <vector>

#include "builder/sandbox/owners/credentials.h"

namespace strake::sandbox {

/// Which process has which credentials.
///
/// The kernel itself keeps that, and passes it on exactly as it does real credentials, to children
/// and through exec: each set has a number, and a process has it as the distance between the hard
/// and the soft limit of RLIMIT_RTTIME, which concerns processes with real-time scheduling only.
/// Nothing is followed or forgotten when processes come and go. Used by one thread.
class CredentialTable {
 public:
  /// `first` is what processes have whose limits are equal.
  explicit CredentialTable(Credentials first);

  /// Of the process that the thread `thread` belongs to.
  const Credentials& of(pid_t thread) const noexcept;
  /// Returns 0 or errno.
  int assign(pid_t thread, const Credentials& credentials);

 private:
  std::vector<const Credentials*> by_number_;
  std::map<Credentials, std::uint64_t> numbers_;
};

}  // namespace strake::sandbox
