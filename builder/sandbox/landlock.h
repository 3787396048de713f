#pragma once

#include "layers/base/fd.h"

namespace strake::sandbox {

/// The version of Landlock that the kernel offers; 0 without it.
int landlock_version() noexcept;

/// A ruleset that lets a process use files in the directory `root` and nowhere else, and, from
/// version 6 on, neither signal processes outside of its domain nor connect to their abstract
/// sockets. Empty where there is no Landlock: it is a second lock behind the first.
/// Throws Error(system).
base::FileDescriptor landlock_ruleset(int root);

}  // namespace strake::sandbox
