#pragma once

#include "builder/sandbox/owners/credentials.h"
#include "builder/sandbox/owners/request.h"

namespace strake::sandbox {

/// The calls that make files: open and its relatives, mkdir, symlink, mknod.
///
/// A file belongs to whoever makes it, and to the group of its directory where that has the setgid
/// bit. If that is 0:0, the kernel makes it alone. Else it is made here, with the umask of the
/// process, and its owner recorded before anybody can see it as done. Devices always are.
Answer make_file(const Request& request, const Credentials& who);

}  // namespace strake::sandbox
