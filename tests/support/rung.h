#pragma once

#include "builder/sandbox/isolation.h"

namespace strake::test {

/// Puts this process on the rung of the ladder that STRAKE_TEST_RUNG names ("root", "user",
/// "user-one", "chroot"; none: as it is), from being root: the two user rungs as the user nobody,
/// the last one with what docker's default profile leaves. Exits with 77, saying why, where that is
/// not possible. To be called from main, before there are threads.
void take_rung();

/// The rung that was taken.
sandbox::Isolation rung();

}  // namespace strake::test
