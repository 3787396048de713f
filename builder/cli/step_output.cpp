#include "builder/cli/step_output.h"

#include <algorithm>

namespace strake::cli {
namespace {

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

void LineCutter::feed(std::string_view text, const Emit& emit) {
  while (!text.empty()) {
    if (after_return_ && text[0] != '\r') {
      after_return_ = false;
      const bool newline = text[0] == '\n';
      if (newline) text.remove_prefix(1);
      if (newline || !partial_.empty())
        end_line(newline ? LineEnd::newline : LineEnd::carriage_return, emit);
      continue;
    }
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    take(text.substr(0, end), emit);
    if (end < text.size()) {
      if (text[end] == '\r') after_return_ = true;
      if (text[end] == '\n') end_line(LineEnd::newline, emit);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void LineCutter::take(std::string_view piece, const Emit& emit) {
  while (partial_.size() + piece.size() > kLongestLine) {
    std::size_t room = kLongestLine - partial_.size();
    // Not in the middle of a character.
    for (int i = 0; i < 3 && room > 0 && continues_character(piece[room]); ++i) --room;
    partial_ += piece.substr(0, room);
    piece.remove_prefix(room);
    end_line(LineEnd::cut, emit);
  }
  partial_ += piece;
}

void LineCutter::end_line(LineEnd end, const Emit& emit) {
  emit(partial_, end);
  partial_.clear();
}

void LineCutter::finish(const Emit& emit) {
  after_return_ = false;
  if (!partial_.empty()) end_line(LineEnd::newline, emit);
}

void StepTail::append(std::string_view text) {
  cutter_.feed(text, [this](std::string_view line, LineEnd end) {
    if (replace_last_ && !lines_.empty()) lines_.pop_back();
    lines_.emplace_back(line);
    if (lines_.size() > kLines) lines_.pop_front();
    replace_last_ = end == LineEnd::carriage_return;
  });
}

std::deque<std::string> StepTail::lines() const {
  std::deque<std::string> lines = lines_;
  if (cutter_.partial().empty()) return lines;
  if (replace_last_ && !lines.empty()) lines.pop_back();
  lines.emplace_back(cutter_.partial());
  if (lines.size() > kLines) lines.pop_front();
  return lines;
}

}  // namespace strake::cli
