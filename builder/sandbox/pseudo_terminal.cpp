#include "builder/sandbox/pseudo_terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "builder/sandbox/isolation.h"
#include "layers/base/error.h"

namespace strake::sandbox {
namespace {

constexpr mode_t kTerminalMode = 0620;  // as devpts makes them: the group is for write(1)

}  // namespace

PseudoTerminal make_pseudo_terminal(int devpts, uid_t owner) {
  const auto fail = [] { throw base::system_error(errno, "create", "terminal of the step"); };
  constexpr int kFlags = O_RDWR | O_NOCTTY | O_CLOEXEC;
  PseudoTerminal pair;
  pair.controller = base::FileDescriptor(::openat(devpts, "ptmx", kFlags | O_NONBLOCK));
  if (!pair.controller) fail();
  const int unlocked = 0;
  if (::ioctl(pair.controller.get(), TIOCSPTLCK, &unlocked) != 0) fail();
  // By the pair itself: no path is resolved, so it cannot be another instance's terminal.
  pair.terminal = base::FileDescriptor(::ioctl(pair.controller.get(), TIOCGPTPEER, kFlags));
  if (!pair.terminal) fail();
  // Programs open their terminal again (/dev/pts/0), for which they need the right to.
  // Where there is one id only, all users of the step have it.
  if ((is_mapped_user(owner) &&
       ::fchown(pair.terminal.get(), owner, static_cast<gid_t>(-1)) != 0) ||
      ::fchmod(pair.terminal.get(), kTerminalMode) != 0)
    fail();
  return pair;
}

void copy_window_size(int from, int to) noexcept {
  struct winsize size {};
  if (::ioctl(from, TIOCGWINSZ, &size) == 0) ::ioctl(to, TIOCSWINSZ, &size);
}

}  // namespace strake::sandbox
