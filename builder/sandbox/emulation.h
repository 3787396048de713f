#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strake::sandbox {

/// How programs of one architecture can be run on this machine.
struct Emulation {
  enum class Kind {
    native,           // by the processor
    host_registered,  // by an interpreter that the host's binfmt_misc keeps open (flag F)
    own_instance,     // by qemu, through a binfmt_misc instance of the step's own user namespace
  };
  Kind kind = Kind::native;
  std::string interpreter;   // absolute path; own_instance only
  std::string registration;  // the line for binfmt_misc's "register"; own_instance only
};

/// Decides for `architecture` ("arm64", "386", ...; "" is the machine's own). Throws
/// Error(unsupported) when there is no way, with the package to install as the hint.
Emulation find_emulation(std::string_view architecture);

/// The machine's own architecture as image configs name it.
std::string_view native_architecture();
bool runs_natively(std::string_view architecture);

/// The binfmt_misc line that hands ELF programs of `architecture` to `interpreter`, flags "FP":
/// opened once (nothing of it is needed in the image), argv[0] preserved. Bytes are written as
/// \xHH, as the kernel reads them. nullopt for an architecture that is not known.
std::optional<std::string> binfmt_registration(std::string_view architecture,
                                               std::string_view interpreter);

/// Whether a binfmt_misc entry, as read from its file, is enabled, keeps its interpreter open and
/// matches programs of `architecture`.
bool binfmt_entry_serves(std::string_view entry, std::string_view architecture);

/// qemu's user-mode emulator for `architecture` in `path` (as $PATH), statically linked; "" if
/// there is none.
std::string find_qemu(std::string_view architecture, std::string_view path);

}  // namespace strake::sandbox
