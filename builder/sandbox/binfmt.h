#pragma once

#include <string>
#include <string_view>

#include "builder/sandbox/architectures.h"

namespace strake::sandbox {

/// The binfmt_misc line that hands ELF programs of `architecture` to `interpreter`, flags "FP":
/// opened once (nothing of it is needed in the image), argv[0] preserved. Never "C": a setuid
/// program must not lend its rights to the emulator. Bytes are written as \xHH, as the kernel reads
/// them.
std::string binfmt_registration(const Architecture& architecture, std::string_view interpreter);

/// Whether a binfmt_misc entry, as read from its file, is enabled, keeps its interpreter open and
/// matches programs of `architecture`.
bool binfmt_entry_serves(std::string_view entry, const Architecture& architecture);

}  // namespace strake::sandbox
