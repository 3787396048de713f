#pragma once

#include <string>
#include <string_view>
#include <vector>

// A reader of POSIX shell text: enough of the grammar to say which commands a RUN has, with which
// words, and what stands between them. It never guesses a value: a word that depends on a variable
// or a substitution says so.

namespace strake::check {

struct ShellWord {
  std::string text;     // quotes and escapes resolved; expansions as written: "$HOME/x"
  bool literal = true;  // no variable or substitution in it; patterns and "~" stay as they are
  bool quoted = false;  // some part was quoted

  bool is(std::string_view value) const { return literal && text == value; }
  bool operator==(const ShellWord&) const = default;
};

/// What follows a command.
enum class Connector { end, and_then, or_else, sequence, pipe, background };

struct Redirection {
  std::string operation;  // ">", ">>", "2>", "<", "&>", "<<", …
  ShellWord target;       // "/dev/null", "&1", a here-document's name

  bool operator==(const Redirection&) const = default;
};

/// NAME=value… word word… with what follows it. `words` may be empty: assignments only.
struct ShellCommand {
  std::vector<ShellWord> assignments;  // "NAME=value"
  std::vector<ShellWord> words;
  std::vector<Redirection> redirections;
  Connector next = Connector::end;
  bool piped_into = false;   // its input is another command's output
  int depth = 0;             // compound commands and subshells around it: 0 is the top
  bool substituted = false;  // inside $(…) or `…`
};

struct ShellScript {
  std::vector<ShellCommand> commands;  // in the order of the text; substitutions before their user
  bool understood = true;              // false: quotes or brackets do not match; nothing is certain
};

ShellScript read_shell(std::string_view text);

}  // namespace strake::check
