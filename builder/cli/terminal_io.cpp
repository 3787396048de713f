#include "builder/cli/terminal_io.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::cli {
namespace {

/// Switches the terminal's echo off while it lives.
class NoEcho {
 public:
  explicit NoEcho(int fd) : fd_(fd), active_(tcgetattr(fd, &before_) == 0) {
    if (!active_) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(fd_, TCSAFLUSH, &silent);
  }
  ~NoEcho() {
    if (active_) tcsetattr(fd_, TCSAFLUSH, &before_);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;

 private:
  int fd_;
  termios before_{};
  bool active_;
};

base::FileDescriptor open_terminal(const std::string& question) {
  base::FileDescriptor terminal(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal)
    throw base::Error(base::ErrorCode::invalid_input,
                      "cannot ask for the " + question + ": there is no terminal")
        .hint("use --username and --password-stdin");
  return terminal;
}

std::string ask_on(int terminal, const std::string& question) {
  base::write_full(terminal, base::bytes_of(question + ": "), "/dev/tty");
  std::string answer;
  char c = 0;
  while (answer.size() < 64 * 1024 &&
         base::read_some(terminal, std::as_writable_bytes(std::span(&c, 1)), "/dev/tty") == 1 &&
         c != '\n')
    answer += c;
  return answer;
}

}  // namespace

void print(std::string_view text) {
  base::write_full(STDOUT_FILENO, base::bytes_of(text), "stdout");
}

void print_error(std::string_view text) noexcept {
  try {
    base::write_full(STDERR_FILENO, base::bytes_of(text), "stderr");
  } catch (const base::Error&) {
    // There is no other place to say it.
  }
}

std::string read_stdin(std::size_t limit_bytes, std::string_view subject) {
  try {
    return base::read_all(STDIN_FILENO, limit_bytes, subject);
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::corrupt) throw;
    throw base::Error(base::ErrorCode::invalid_input, error.what());
  }
}

std::string ask(const std::string& question) {
  const base::FileDescriptor terminal = open_terminal(question);
  return ask_on(terminal.get(), question);
}

std::string ask_secret(const std::string& question) {
  const base::FileDescriptor terminal = open_terminal(question);
  const NoEcho silence(terminal.get());
  std::string answer = ask_on(terminal.get(), question);
  base::write_full(terminal.get(), base::bytes_of("\n"), "/dev/tty");
  return answer;
}

}  // namespace strake::cli
