#include "builder/cli/progress_frame.h"

#include <algorithm>

namespace strake::cli {
namespace {

constexpr std::size_t kStatusColumns = 9;     // "   done  "
constexpr std::size_t kMostLinesOfATask = 6;  // of output and transfers, under its title

double seconds_since(TimePoint start, TimePoint now) {
  return std::chrono::duration<double>(now - start).count();
}

std::size_t usable_columns(TerminalSize size) {
  // A line that fills the last column makes some terminals go to the next row at once.
  return size.columns > 1 ? size.columns - 1 : 1;
}

/// `status` and `left`, and `right` at the right edge; `left` gives way when there is no room.
std::string row(const std::string& status, std::string_view left, std::string_view right,
                std::size_t columns, const Palette& palette) {
  const std::size_t right_columns = right.empty() ? 0 : display_width(right) + 2;
  if (columns <= kStatusColumns + right_columns) return fit(left, columns);
  const std::size_t room = columns - kStatusColumns - right_columns;
  const std::string shown = fit(left, room);
  std::string out = status + shown;
  if (right.empty()) return out;
  return out + std::string(room - display_width(shown) + 2, ' ') + palette.dim(right);
}

std::string status_cell(std::string_view word) {
  const std::size_t room = kStatusColumns - 2;
  return std::string(room - std::min(room, word.size()), ' ') + std::string(word);
}

std::string status_of(builder::Outcome outcome, const Palette& palette) {
  switch (outcome) {
    case builder::Outcome::done:
      return palette.green(status_cell("done")) + "  ";
    case builder::Outcome::cached:
      return palette.cyan(status_cell("cached")) + "  ";
    case builder::Outcome::skipped:
      return palette.dim(status_cell("skipped")) + "  ";
    case builder::Outcome::failed:
      return palette.red(status_cell("failed")) + "  ";
    case builder::Outcome::cancelled:
      return palette.yellow(status_cell("stopped")) + "  ";
  }
  return status_cell("") + "  ";
}

/// "12.1 MB / 30.4 MB  8.10 MB/s"
std::string transfer_numbers(std::uint64_t done, std::uint64_t total, double seconds) {
  std::string out = format_bytes(static_cast<double>(done));
  if (total > done) out += " / " + format_bytes(static_cast<double>(total));
  if (seconds >= 0.5 && done > 0)
    out += "  " + format_bytes(static_cast<double>(done) / seconds) + "/s";
  return out;
}

/// Of all transfers of a task together; "" if there are none.
std::string transfer_summary(const Task& task, TimePoint now) {
  if (task.transfers.empty()) return "";
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  TimePoint began = now;
  for (const Transfer& transfer : task.transfers) {
    done += transfer.done_bytes;
    total += std::max(transfer.total_bytes, transfer.done_bytes);
    began = std::min(began, transfer.began);
  }
  return transfer_numbers(done, total, seconds_since(began, now));
}

/// What stands under a task's title, most telling last.
std::vector<std::string> details(const Task& task, std::size_t columns, TimePoint now,
                                 const Palette& palette) {
  const std::string indent(kStatusColumns + 2, ' ');
  std::vector<std::string> lines;
  if (columns <= indent.size()) return lines;
  const std::size_t room = columns - indent.size();
  if (!task.note.empty()) lines.push_back(indent + palette.dim(fit(task.note, room)));
  for (const Transfer& transfer : task.transfers) {
    if (transfer.finished) continue;
    const std::string numbers = transfer_numbers(transfer.done_bytes, transfer.total_bytes,
                                                 seconds_since(transfer.began, now));
    lines.push_back(indent + palette.dim(fit(printable(transfer.item) + "  " + numbers, room)));
  }
  const std::deque<std::string> tail = task.tail.lines();
  for (std::size_t i = tail.size() - std::min(tail.size(), kMostLinesOfATask); i < tail.size(); ++i)
    lines.push_back(indent + palette.dim(fit(printable(tail[i]), room)));
  return lines;
}

std::string footer(std::size_t running, const Tally& tally, std::size_t columns, TimePoint now,
                   const Palette& palette) {
  std::string text = std::to_string(running) + " running, " + std::to_string(tally.done) + " done";
  if (tally.cached > 0) text += ", " + std::to_string(tally.cached) + " cached";
  if (tally.failed > 0) text += ", " + std::to_string(tally.failed) + " failed";
  return row(std::string(kStatusColumns, ' '), text,
             format_seconds(seconds_since(tally.began, now)), columns, palette);
}

/// Deals `lines` out to tasks that could use `wanted` each, one at a time and evenly.
std::vector<std::size_t> deal(std::size_t lines, const std::vector<std::size_t>& wanted) {
  std::vector<std::size_t> given(wanted.size(), 0);
  for (bool progress = true; progress && lines > 0;) {
    progress = false;
    for (std::size_t i = 0; i < wanted.size() && lines > 0; ++i) {
      if (given[i] == wanted[i]) continue;
      ++given[i];
      --lines;
      progress = true;
    }
  }
  return given;
}

}  // namespace

std::vector<std::string> draw_frame(const std::vector<const Task*>& running, const Tally& tally,
                                    TerminalSize size, TimePoint now, const Palette& palette) {
  const std::size_t columns = usable_columns(size);
  const std::size_t rows = size.rows > 2 ? size.rows - 2 : 0;  // without the footer
  std::vector<const Task*> shown = running;
  std::stable_sort(shown.begin(), shown.end(),
                   [](const Task* a, const Task* b) { return a->group < b->group; });
  std::size_t hidden = 0;
  if (shown.size() > rows) {
    hidden = shown.size() - (rows > 0 ? rows - 1 : 0);
    shown.resize(shown.size() - hidden);
  }

  std::vector<std::vector<std::string>> under;
  std::vector<std::size_t> wanted;
  for (const Task* task : shown) {
    under.push_back(details(*task, columns, now, palette));
    wanted.push_back(std::min(under.back().size(), kMostLinesOfATask));
  }
  const std::size_t free = rows - std::min(rows, shown.size() + (hidden > 0 ? 1 : 0));
  const std::vector<std::size_t> given = deal(free, wanted);

  std::vector<std::string> frame;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const Task& task = *shown[i];
    std::string right = transfer_summary(task, now);
    right += (right.empty() ? "" : "  ") + format_seconds(seconds_since(task.started, now));
    frame.push_back(row(std::string(kStatusColumns, ' '), task.title, right, columns, palette));
    frame.insert(frame.end(), under[i].end() - static_cast<std::ptrdiff_t>(given[i]),
                 under[i].end());
  }
  if (hidden > 0 && rows > 0)
    frame.push_back(row(std::string(kStatusColumns, ' '), "and " + std::to_string(hidden) + " more",
                        "", columns, palette));
  if (size.rows > 1) frame.push_back(footer(running.size(), tally, columns, now, palette));
  return frame;
}

std::string draw_finished(const Task& task, builder::Outcome outcome, TerminalSize size,
                          TimePoint now, const Palette& palette) {
  const bool took_time =
      outcome != builder::Outcome::cached && outcome != builder::Outcome::skipped;
  std::string right = transfer_summary(task, now);
  if (took_time)
    right += (right.empty() ? "" : "  ") + format_seconds(seconds_since(task.started, now));
  return row(status_of(outcome, palette), task.title, right, usable_columns(size), palette);
}

}  // namespace strake::cli
