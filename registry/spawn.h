#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace strake::registry {

/// Who a started program shares signals with.
enum class Apart {
  group,    // a process group of its own, to be killed with it
  session,  // a session: what a terminal or a shell sends to ours is not for it either
};

/// A program to start. It gets no descriptor of ours but these, and no signal is blocked or ignored
/// in it; what it says on standard error is discarded.
struct Spawn {
  std::vector<std::string> command;  // the program first: a path, or a name that PATH has
  char* const* environment = nullptr;
  int standard_input = -1;
  int standard_output = -1;  // -1: discarded, so that nobody waits for the end of it
  Apart apart = Apart::group;
};

/// Starts it. Returns its pid, or -1 with errno set. The caller reaps it.
pid_t spawn(const Spawn& program);

}  // namespace strake::registry
