#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "builder/sandbox/child_process.h"
#include "builder/sandbox/sandbox.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// A program that connects a network namespace with the outside without any rights on the host's
/// network.
struct NetworkProgram {
  enum class Kind { pasta, slirp4netns };
  Kind kind = Kind::pasta;
  std::string path;

  /// Where it answers name queries inside; it asks the host's servers.
  const char* name_server() const noexcept;
};

/// The installed one, pasta before slirp4netns, by the builder's PATH. Throws Error(unsupported)
/// naming the packages if there is none, or what keeps it from working.
NetworkProgram find_network_program();

/// Whether the program answers name queries itself. Not if the user names servers: pasta would
/// answer in the place of those that are the host's, too.
enum class NameServer { program, none };
NameServer name_server_of(const Spec& spec) noexcept;

/// The words of the command line for `program`. It takes the namespace as descriptor 0.
std::vector<std::string> network_arguments(const NetworkProgram& program, NameServer name_server,
                                           bool as_root);

/// A running network program. It ends with this object, and with the builder.
class OutwardNetwork {
 public:
  /// Connects the network namespace of `process`, which is to run `spec`, and returns when it can
  /// be used. Throws Error(unsupported) with what the program said if that fails.
  OutwardNetwork(const NetworkProgram& program, const Spec& spec, pid_t process);

 private:
  base::FileDescriptor messages_;  // open, so that the program can write
  ChildProcess guard_;
};

}  // namespace strake::sandbox
