#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

namespace strake::cli {

/// How a line of a step's output ended.
enum class LineEnd {
  newline,          // LF or CR LF
  carriage_return,  // CR alone: the next line replaces this one on a terminal
  cut,              // longer than kLongestLine: the rest follows as the next line
};

inline constexpr std::size_t kLongestLine = 16 * 1024;

/// Cuts a stream of output into lines in bounded memory. Nothing is lost: a line that is too long
/// comes in pieces, what stands before a lone CR comes as a line.
class LineCutter {
 public:
  using Emit = std::function<void(std::string_view line, LineEnd end)>;

  void feed(std::string_view text, const Emit& emit);
  /// The last line when it has no end.
  void finish(const Emit& emit);
  /// What came since the last line.
  std::string_view partial() const noexcept { return partial_; }

 private:
  void take(std::string_view piece, const Emit& emit);
  void end_line(LineEnd end, const Emit& emit);

  std::string partial_;
  bool after_return_ = false;  // a CR came; the next byte tells what it means
};

/// The last lines of a step's output: enough to see what it does, and why it failed.
class StepTail {
 public:
  static constexpr std::size_t kLines = 20;

  void append(std::string_view text);
  /// Oldest first, an unfinished line included, as they came (not yet safe to print).
  std::deque<std::string> lines() const;

 private:
  LineCutter cutter_;
  std::deque<std::string> lines_;
  bool replace_last_ = false;
};

}  // namespace strake::cli
