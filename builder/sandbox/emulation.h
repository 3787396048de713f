#pragma once

#include <string>
#include <string_view>

#include "builder/sandbox/architectures.h"

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

  /// Who runs them: "" for the processor, "qemu-aarch64", "the host's binfmt_misc".
  std::string emulator() const;
};

/// Decides for `architecture` ("arm64", "386", ...; "" is the machine's own). What the host has
/// registered is preferred. Where its list cannot be seen (in a container), and for 32-bit programs
/// on a 64-bit processor, a tiny program is tried; that is remembered.
///
/// Throws Error(unsupported) when there is no way, with the package to install, or both ways round
/// a kernel without binfmt_misc for user namespaces, as the hint.
Emulation find_emulation(std::string_view architecture);

/// Whether the processor itself runs them.
bool runs_natively(std::string_view architecture);

/// qemu's user-mode emulator for `architecture` in `path` (as $PATH), statically linked; "" if
/// there is none.
std::string find_qemu(const Architecture& architecture, std::string_view path);

/// What the doctor says of all architectures that are known.
struct EmulationSurvey {
  bool any = false;    // some that is not the processor's own can run
  std::string detail;  // "arm64, arm by qemu-user in a binfmt_misc of our own; 386 natively"
  std::string knob;    // what would bring some; "" when there are
};
EmulationSurvey survey_emulation();

}  // namespace strake::sandbox
