#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/dockerfile/heredoc.h"
#include "builder/dockerfile/instruction.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

/// An instruction before anyone knows what it means: one logical line, and its here-documents.
struct Statement {
  base::SourceRange where;
  std::string keyword;    // "Copy", as written
  std::string name;       // "COPY"
  std::string original;   // the logical line, without white space in front
  std::string arguments;  // what follows the flags, trimmed
  std::vector<std::string> flags;
  std::vector<Heredoc> heredocs;
  std::vector<std::string> comments;  // above it, without "#"
};

/// Names the place of lines [first, last].
using Locate = std::function<base::SourceRange(int first_line, int last_line)>;

/// Cuts a Dockerfile into statements: joins continuation lines, drops comments, collects
/// here-documents.
class StatementReader {
 public:
  /// The first `directive_lines` lines are not comments of the first instruction.
  StatementReader(std::string_view text, char escape, int directive_lines, Locate locate);

  /// The next statement; empty at the end. Throws Error(invalid_input) with the place for a
  /// here-document without an end.
  std::optional<Statement> next();

  int lines_read() const noexcept { return line_number_; }
  std::vector<ParseWarning> take_warnings() { return std::move(warnings_); }

 private:
  std::string_view take_line();
  bool skip_to_statement();
  std::string take_logical_line();
  bool cut_continuation(std::string_view& line) const;
  void read_body(Heredoc& heredoc, const Statement& statement);

  std::string_view rest_;
  char escape_;
  int directive_lines_;
  Locate locate_;
  int line_number_ = 0;  // of the line taken last
  std::vector<std::string> comments_;
  std::vector<ParseWarning> warnings_;
};

/// Cuts a logical line into keyword, flags and arguments.
Statement split_statement(std::string_view line);

}  // namespace strake::dockerfile
