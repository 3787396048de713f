#include "builder/dockerfile/statement.h"

#include <algorithm>
#include <utility>

#include "builder/dockerfile/words.h"

namespace strake::dockerfile {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

std::string_view without_line_end(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool is_comment(std::string_view line) {
  return trim_left(line).starts_with('#');
}

bool is_blank(std::string_view line) {
  return trim_left(line).empty();
}

/// Only instructions that take files or a script do; in an exec form, `<<` is an ordinary argument.
bool can_have_heredocs(const Statement& statement) {
  if (statement.name == "ONBUILD") {
    const Statement trigger = split_statement(statement.arguments);
    return trigger.name != "ONBUILD" && can_have_heredocs(trigger);
  }
  if (statement.name != "RUN" && statement.name != "COPY" && statement.name != "ADD") return false;
  return !parse_exec_form(statement.arguments);
}

}  // namespace

Statement split_statement(std::string_view line) {
  Statement statement;
  statement.original = trim_left(line);
  const auto [keyword, rest] = cut_blanks(trim(line));
  std::string_view arguments = rest.value_or("");
  statement.keyword = keyword;
  statement.name = to_upper(keyword);
  statement.flags = take_flags(arguments);
  statement.arguments = arguments;
  return statement;
}

StatementReader::StatementReader(std::string_view text, char escape, int directive_lines,
                                 Locate locate)
    : rest_(text), escape_(escape), directive_lines_(directive_lines), locate_(std::move(locate)) {
  if (rest_.starts_with(kByteOrderMark)) rest_.remove_prefix(kByteOrderMark.size());
}

/// With its line end, which matters in here-documents.
std::string_view StatementReader::take_line() {
  const std::size_t newline = rest_.find('\n');
  const std::size_t size = newline == std::string_view::npos ? rest_.size() : newline + 1;
  const std::string_view line = rest_.substr(0, size);
  rest_.remove_prefix(size);
  ++line_number_;
  return line;
}

/// Takes comments and blank lines; false at the end of the file.
bool StatementReader::skip_to_statement() {
  while (!rest_.empty()) {
    const std::string_view before = rest_;
    const std::string_view line = take_line();
    if (is_blank(line)) continue;
    if (!is_comment(line)) {
      rest_ = before;
      --line_number_;
      return true;
    }
    if (line_number_ <= directive_lines_) continue;
    // docker cuts the first character, also of an indented comment: what is said about an
    // instruction has its "#" in the first column.
    const std::string_view comment = trim(line.substr(1));
    // An empty comment line separates a heading from the comment of an instruction.
    if (comment.empty()) {
      comments_.clear();
    } else {
      comments_.emplace_back(comment);
    }
  }
  return false;
}

/// Cuts the escape character at the end of `line`, if it makes the line go on. An escaped escape
/// character does not.
bool StatementReader::cut_continuation(std::string_view& line) const {
  const std::size_t last = line.find_last_not_of(" \t");
  if (last == std::string_view::npos || line[last] != escape_) return false;
  if (last > 0 && line[last - 1] == escape_) return false;
  line = line.substr(0, last);
  return true;
}

/// Continuation lines join without anything between them, and keep the white space in front.
std::string StatementReader::take_logical_line() {
  const int first_line = line_number_ + 1;
  std::string_view line = trim_left(without_line_end(take_line()));
  bool goes_on = cut_continuation(line);
  std::string logical(line);
  bool has_blank_line = false;
  while (goes_on && !rest_.empty()) {
    line = without_line_end(take_line());
    if (is_comment(line)) continue;
    if (is_blank(line)) {
      has_blank_line = true;
      continue;
    }
    goes_on = cut_continuation(line);
    logical += line;
  }
  if (has_blank_line)
    warnings_.push_back({"NoEmptyContinuation", "Empty continuation line found in: " + logical,
                         locate_(first_line, line_number_)});
  return logical;
}

void StatementReader::read_body(Heredoc& heredoc, const Statement& statement) {
  while (!rest_.empty()) {
    const std::string_view line = take_line();
    std::string_view text = without_line_end(line);
    if (heredoc.strip_tabs) text.remove_prefix(std::min(text.find_first_not_of('\t'), text.size()));
    if (text == heredoc.name) return;
    heredoc.content += line;
  }
  throw base::Error(base::ErrorCode::invalid_input,
                    "unterminated here-document " + excerpt(heredoc.name))
      .at(locate_(statement.where.first_line, line_number_))
      .hint("end it with a line that holds nothing but " + excerpt(heredoc.name));
}

std::optional<Statement> StatementReader::next() {
  if (!skip_to_statement()) return std::nullopt;
  const int first_line = line_number_ + 1;
  const std::string line = take_logical_line();
  base::SourceRange where = locate_(first_line, line_number_);
  try {
    Statement statement = split_statement(line);
    statement.where = where;
    statement.comments = std::exchange(comments_, {});
    if (line.find("<<") != std::string::npos && can_have_heredocs(statement)) {
      // From the whole line: what looks like a flag may still be a word of a shell.
      statement.heredocs = find_heredocs(line);
      for (Heredoc& heredoc : statement.heredocs) read_body(heredoc, statement);
      statement.where = locate_(first_line, line_number_);
    }
    return statement;
  } catch (base::Error& error) {
    error.set_location(std::move(where));
    throw;
  }
}

}  // namespace strake::dockerfile
