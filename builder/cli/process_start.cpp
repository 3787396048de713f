#include "builder/cli/process_start.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "layers/base/error.h"

namespace strake::cli {

void prepare_process() {
  // Not close-on-exec: the three are what children expect to have.
  while (true) {
    const int fd = open("/dev/null", O_RDWR);  // NOLINT(android-cloexec-open)
    if (fd < 0) std::abort();                  // no place to say anything
    if (fd <= STDERR_FILENO) continue;
    close(fd);
    break;
  }
  std::signal(SIGPIPE, SIG_IGN);
  if (getauxval(AT_SECURE) != 0 || getuid() != geteuid() || getgid() != getegid())
    throw base::Error(base::ErrorCode::denied, "strake must not be installed setuid or setgid")
        .hint("run it as yourself: it needs no privileges");
}

}  // namespace strake::cli
