#include "builder/cli/process_start.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <csignal>

#include "builder/cli/terminal_io.h"
#include "builder/cli/terminal_text.h"
#include "builder/sandbox/isolation.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/log.h"

namespace strake::cli {

void prepare_process() {
  base::ensure_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);
  if (getauxval(AT_SECURE) != 0 || getuid() != geteuid() || getgid() != getegid())
    throw base::Error(base::ErrorCode::denied, "strake must not be installed setuid or setgid")
        .hint("run it as yourself: it needs no privileges");
}

void take_rung(const Invocation& invocation) {
  const auto& asked = invocation.common.isolation;
  // "build --check" builds nothing.
  if (!asked || std::holds_alternative<CheckCommand>(invocation.command)) return;
  try {
    sandbox::enter_isolation(asked->wanted);
  } catch (const base::Error& error) {
    // It says so itself, and what would help.
    if (std::holds_alternative<DoctorCommand>(invocation.command) && !asked->wanted) return;
    throw;
  }
  const sandbox::Rung& rung = *sandbox::entered_rung();
  const std::string line = "isolation: " + rung.describe();
  const auto* build = std::get_if<BuildCommand>(&invocation.command);
  if (build != nullptr && !build->quiet && rung.isolation != sandbox::Isolation::root)
    print_error(printable(line) + "\n");
  else
    base::log_info(line);
}

}  // namespace strake::cli
