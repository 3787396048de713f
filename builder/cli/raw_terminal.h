#pragma once

namespace strake::cli {

/// Whether a user can be talked with on `fd`.
bool is_terminal(int fd) noexcept;

/// While it lives, the terminal `fd` passes on every key as it is pressed and changes nothing that
/// is written to it: another terminal behind ours does all that. One object at a time.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
};

/// Puts back what a RawTerminal has changed, if there is one. For signal handlers, before they end
/// the process.
void restore_raw_terminal() noexcept;

}  // namespace strake::cli
