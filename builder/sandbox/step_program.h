#pragma once

#include <string>
#include <vector>

#include "builder/sandbox/owners/calls.h"
#include "builder/sandbox/sandbox.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// The init executable as a sealed file in memory, made once per builder.
base::FileDescriptor make_init_program();

/// What is around a step.
enum class Confinement { namespaces, chroot };

/// The file that tells init what to run: an InitPlan with its arrays, see init/protocol.h.
/// With `supervision` init needs a socket for the listener (kSupervisorFd). Throws
/// Error(invalid_input) for an empty argv or an unknown ulimit, Error(unsupported) for a limit or
/// capability that the builder cannot give.
base::FileDescriptor make_init_plan(const Spec& spec,
                                    Confinement confinement = Confinement::namespaces,
                                    Supervision supervision = Supervision::none);

/// The command's supplementary groups: the list, and its group, each once.
std::vector<gid_t> groups_of(const Spec& spec);

/// Where the command may be, in the order to try: argv[0] itself if it has a slash, else that name
/// in each directory of env's PATH.
std::vector<std::string> command_candidates(const Spec& spec);

}  // namespace strake::sandbox
