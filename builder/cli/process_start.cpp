#include "builder/cli/process_start.h"

#include <sys/auxv.h>
#include <unistd.h>

#include <csignal>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::cli {

void prepare_process() {
  base::ensure_standard_streams();
  std::signal(SIGPIPE, SIG_IGN);
  if (getauxval(AT_SECURE) != 0 || getuid() != geteuid() || getgid() != getegid())
    throw base::Error(base::ErrorCode::denied, "strake must not be installed setuid or setgid")
        .hint("run it as yourself: it needs no privileges");
}

}  // namespace strake::cli
