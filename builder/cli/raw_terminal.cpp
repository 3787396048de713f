#include "builder/cli/raw_terminal.h"

#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

namespace strake::cli {
namespace {

// What a signal handler needs: the descriptor says whether the settings beside it count.
std::atomic<int> g_terminal{-1};
termios g_before{};

}  // namespace

bool is_terminal(int fd) noexcept {
  return isatty(fd) == 1;
}

RawTerminal::RawTerminal(int fd) {
  if (tcgetattr(fd, &g_before) != 0) return;  // no terminal: there is nothing to change
  g_terminal = fd;
  termios raw = g_before;
  cfmakeraw(&raw);
  tcsetattr(fd, TCSADRAIN, &raw);
}

RawTerminal::~RawTerminal() {
  restore_raw_terminal();
  g_terminal = -1;
}

// At once: a terminal that was stopped would never have written everything.
void restore_raw_terminal() noexcept {
  const int saved = errno;
  const int terminal = g_terminal;
  if (terminal >= 0) tcsetattr(terminal, TCSANOW, &g_before);
  errno = saved;
}

}  // namespace strake::cli
