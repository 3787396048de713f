#pragma once

#include <sys/types.h>

#include "layers/base/fd.h"

namespace strake::sandbox {

/// The two ends of a pseudo terminal.
struct PseudoTerminal {
  base::FileDescriptor controller;  // the builder's; does not block
  base::FileDescriptor terminal;    // the command's
};

/// A new one of the devpts instance with the root `devpts`, attached or not, owned by `owner`. It
/// becomes nobody's controlling terminal. Throws Error(system).
PseudoTerminal make_pseudo_terminal(int devpts, uid_t owner);

/// Makes the terminal `to` as large as `from` is; no effect if either is no terminal.
void copy_window_size(int from, int to) noexcept;

}  // namespace strake::sandbox
