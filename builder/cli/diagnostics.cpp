#include "builder/cli/diagnostics.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "builder/cli/terminal_text.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

constexpr int kMostLines = 12;             // of an excerpt; the middle of a longer one is left out
constexpr std::size_t kMostColumns = 160;  // of an excerpt's line

/// Text from anywhere, safe to print; further lines are indented under the first.
std::string safe(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t end = text.find('\n');
    out += printable(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
    out += "\n    ";
  }
}

std::string padded(int number, std::size_t width) {
  const std::string digits = std::to_string(number);
  return std::string(width - std::min(width, digits.size()), ' ') + digits;
}

/// Spaces and carets under the text of `line`, its indentation left out.
std::string underline(std::string_view line) {
  const std::size_t start = std::min(line.find_first_not_of(' '), line.size());
  return std::string(start, ' ') + std::string(display_width(line.substr(start)), '^');
}

/// The lines of `where` with one line before them for orientation.
std::string excerpt(const base::SourceRange& where, const Palette& palette) {
  if (!where.text || where.first_line < 1) return "";
  const int first = std::max(1, where.first_line - 1);
  const int last = std::max(where.first_line, where.last_line);
  const std::vector<std::string> lines = source_lines(*where.text, first, last);
  const bool several = last > where.first_line;
  const std::size_t width = std::max<std::size_t>(2, std::to_string(last).size());

  std::string out;
  const int count = static_cast<int>(lines.size());
  for (int i = 0; i < count; ++i) {
    if (count > kMostLines && i == kMostLines - 3) {
      out += "   " + std::string(width, ' ') + palette.dim(" …") + "\n";
      i = count - 2;
    }
    const int number = first + i;
    const bool marked = number >= where.first_line;
    const std::string gutter = "   " + padded(number, width) + (marked && several ? " >" : " |");
    const std::string& line = lines[static_cast<std::size_t>(i)];
    out += palette.dim(gutter) + (line.empty() ? "" : " " + line) + "\n";
    if (marked && !several && !line.empty())
      out += palette.dim("   " + std::string(width, ' ') + " |") + " " +
             palette.red(underline(line)) + "\n";
  }
  return out;
}

std::string place(const base::SourceRange& where) {
  std::string out = safe(where.file.string());
  if (where.first_line > 0) out += ":" + std::to_string(where.first_line);
  return out;
}

}  // namespace

std::vector<std::string> source_lines(std::string_view text, int first, int last) {
  std::vector<std::string> lines;
  for (int number = 1; number <= last && !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number >= first) lines.push_back(fit(printable(base::redacted(line)), kMostColumns));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

Colour colour_for(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  const bool wanted = no_color == nullptr || *no_color == '\0';
  const bool able = term != nullptr && std::string_view(term) != "dumb";
  return wanted && able && isatty(fd) == 1 ? Colour::yes : Colour::no;
}

std::string describe(const base::Error& error, Colour colour) {
  const Palette palette(colour == Colour::yes);
  const auto shown = [](std::string_view text) { return safe(base::redacted(text)); };
  std::string out = palette.red("error:") + " " + palette.bold(shown(error.what())) + "\n";
  if (error.location()) {
    out += "  " + place(*error.location()) + "\n";
    out += excerpt(*error.location(), palette);
  }
  for (const std::string& purpose : error.context()) out += "  while: " + shown(purpose) + "\n";
  for (const std::string& note : error.notes()) out += "  " + shown(note) + "\n";
  if (!error.hint().empty()) out += "  " + palette.cyan("hint:") + " " + shown(error.hint()) + "\n";
  return out;
}

std::string describe_internal(const std::exception& error, Colour colour) {
  return Palette(colour == Colour::yes).red("internal error:") + " " +
         safe(base::redacted(error.what())) +
         "\n  hint: this is a bug in strake " STRAKE_VERSION "; please report it\n";
}

ExitStatus exit_status(base::ErrorCode code) {
  using base::ErrorCode;
  switch (code) {
    case ErrorCode::invalid_input:
    case ErrorCode::not_found:
      return ExitStatus::input;
    case ErrorCode::denied:
    case ErrorCode::unavailable:
      return ExitStatus::registry;
    case ErrorCode::unsupported:
      return ExitStatus::unsupported;
    case ErrorCode::system:
      return ExitStatus::disk;
    case ErrorCode::corrupt:
    case ErrorCode::step_failed:
    case ErrorCode::cancelled:
      return ExitStatus::build_failed;
  }
  return ExitStatus::build_failed;
}

}  // namespace strake::cli
