#pragma once

#include <string>
#include <vector>

#include "builder/cli/task_table.h"
#include "builder/cli/terminal_text.h"

namespace strake::cli {

struct TerminalSize {
  unsigned rows = 24, columns = 80;
};

/// How many tasks have ended, and since when the build runs.
struct Tally {
  std::size_t done = 0, cached = 0, failed = 0;
  TimePoint began{};
};

/// What is redrawn in place: a line for each running task (those of one group together), under it
/// what it transfers and the end of its output, and a line for the whole build. Never more lines
/// than `size` has rows less one, no line wider than its columns less one.
std::vector<std::string> draw_frame(const std::vector<const Task*>& running, const Tally& tally,
                                    TerminalSize size, TimePoint now, const Palette& palette);

/// The line a task leaves behind: "   done  [build 1/5] FROM alpine          0.4s".
std::string draw_finished(const Task& task, builder::Outcome outcome, TerminalSize size,
                          TimePoint now, const Palette& palette);

}  // namespace strake::cli
