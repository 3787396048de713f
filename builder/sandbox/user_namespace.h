#pragma once

#include <string>

#include "builder/sandbox/child_process.h"
#include "builder/sandbox/id_map.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// The ids of a new user namespace, and who may give them to it.
struct NamespaceMaps {
  enum class Writer {
    builder,   // CAP_SETUID and CAP_SETGID, or nothing but our own id is mapped
    newidmap,  // the setuid programs newuidmap and newgidmap, which know /etc/subuid
  };
  IdMap users, groups;
  Writer writer = Writer::builder;
  /// The kernel demands it where somebody without CAP_SETGID maps a group.
  bool give_up_setgroups = false;
  std::string newuidmap = "", newgidmap = "";  // paths, for Writer::newidmap
};

/// A user namespace that a waiting child process holds, tried out there before this process takes
/// the step of which there is no way back.
class UserNamespace {
 public:
  /// Makes the namespace, gives it its ids, and tries in it what the sandbox needs: mounts of its
  /// own. Throws Error(unsupported) that says what was refused.
  explicit UserNamespace(const NamespaceMaps& maps);

  /// Moves this process, which has one thread, into the namespace and into a mount namespace of its
  /// own, where nothing is shared with the one before. The working directory stays. Throws
  /// Error(unsupported) if nothing changed, Error(system) if the process is of no use any more.
  void enter();

 private:
  base::Pipe release_ = base::make_pipe();
  base::Pipe report_ = base::make_pipe();
  ChildProcess child_;
};

/// Why user namespaces cannot be had, as far as the system tells, and what would change it:
/// "set user.max_user_namespaces to more than 0", ... `error` is what the kernel said.
std::string user_namespace_knob(int error);

}  // namespace strake::sandbox
