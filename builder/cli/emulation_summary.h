#pragma once

#include <span>
#include <string>
#include <vector>

#include "builder/exec/build.h"

namespace strake::cli {

/// What to say at the end of a build that ran programs of other architectures: a line a stage,
///
///     emulated: 42.1s of linux/arm64 in stage "build" (qemu-aarch64)
///
/// and a hint for stages that took seconds although the image has only copies of their files:
/// those may be built by the machine's own programs.
std::vector<std::string> emulation_summary(std::span<const builder::EmulatedStage> stages);

}  // namespace strake::cli
