#include "builder/check/shell_script.h"

#include <algorithm>
#include <array>
#include <utility>

#include "builder/check/shell_tokens.h"

// Commands are collected in one pass over the tokens. What the reserved words build is not kept as
// a tree: the rules ask how deep a command is nested, not in what.

namespace strake::check {
namespace {

using Kind = ShellToken::Kind;

constexpr int kDeepestSubstitution = 16;

template <std::size_t N>
bool is_one_of(const ShellWord& word, const std::array<std::string_view, N>& words) {
  return !word.quoted && word.literal &&
         std::find(words.begin(), words.end(), word.text) != words.end();
}

constexpr auto kOpens = std::to_array<std::string_view>({"if", "while", "until"});
constexpr auto kGoesOn =
    std::to_array<std::string_view>({"then", "else", "elif", "do", "!", "time"});
constexpr auto kCloses = std::to_array<std::string_view>({"fi", "done", "}"});

bool is_assignment(const ShellWord& word) {
  const std::size_t equals = word.text.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  const auto is_name_char = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+';
  };
  return !(word.text[0] >= '0' && word.text[0] <= '9') &&
         std::all_of(word.text.begin(), word.text.begin() + static_cast<std::ptrdiff_t>(equals),
                     is_name_char);
}

class ScriptReader {
 public:
  ScriptReader(std::string_view text, ShellScript& script, int depth, int substitutions)
      : tokens_(text), script_(script), depth_(depth), substitutions_(substitutions) {}

  void read() {
    take();
    while (token_.kind != Kind::end) read_one();
    finish_command();
    if (!tokens_.well_formed() || level_ != 0) script_.understood = false;
  }

 private:
  void take() { token_ = tokens_.next(); }

  void read_one() {
    switch (token_.kind) {
      case Kind::newline:
        connect(Connector::sequence);
        return take();
      case Kind::operation:
        return read_operation();
      case Kind::redirection:
        return read_redirection();
      case Kind::word:
        if (!in_command_ && read_reserved_word()) return;
        add_word();
        return take();
      case Kind::end:
        return;
    }
  }

  void read_operation() {
    const std::string operation = token_.text;
    if (operation == "(") {
      // "name()" declares a function; its body is read like any group.
      const bool declares = in_command_;
      if (declares) {
        current_ = {};
        in_command_ = false;
      } else {
        ++level_;
      }
      take();
      if (declares && token_.is(")")) take();
      return;
    }
    take();
    if (operation == ")") {
      finish_command();
      --level_;
      closed_ = true;
    } else if (operation == "&&") {
      connect(Connector::and_then);
    } else if (operation == "||") {
      connect(Connector::or_else);
    } else if (operation == "|" || operation == "|&") {
      connect(Connector::pipe);
    } else if (operation == "&") {
      connect(Connector::background);
    } else {
      connect(Connector::sequence);
      if (operation != ";") skip_case_patterns();  // ";;": the next branch
    }
  }

  void read_redirection() {
    Redirection redirection{token_.text, {}};
    take();
    if (token_.kind == Kind::word) {
      read_substitutions();
      redirection.target = token_.word;
      take();
    }
    if (closed_) return;  // of a whole group
    in_command_ = true;
    current_.redirections.push_back(std::move(redirection));
  }

  /// False when the word is an ordinary one.
  bool read_reserved_word() {
    const ShellWord& word = token_.word;
    if (is_one_of(word, kOpens) || (word.is("{") && !word.quoted)) {
      ++level_;
    } else if (is_one_of(word, kCloses)) {
      --level_;
      closed_ = true;
    } else if (!word.quoted && word.is("case")) {
      return read_case();
    } else if (!word.quoted && (word.is("for") || word.is("select"))) {
      return read_for();
    } else if (!word.quoted && word.is("[[")) {
      return read_test();
    } else if (!is_one_of(word, kGoesOn)) {
      return false;
    }
    take();
    return true;
  }

  /// `for name in words;`: what follows is `do`.
  bool read_for() {
    ++level_;
    for (take(); token_.kind == Kind::word && !token_.word.is("do"); take()) read_substitutions();
    return true;
  }

  /// `case word in`, then patterns.
  bool read_case() {
    ++level_;
    for (take(); token_.kind == Kind::word && !token_.word.is("in"); take()) read_substitutions();
    take();
    skip_case_patterns();
    return true;
  }

  /// `a | b)`, or `esac`.
  void skip_case_patterns() {
    while (token_.kind == Kind::newline) take();
    if (token_.is("(")) take();
    if (token_.kind == Kind::word && token_.word.is("esac")) {
      --level_;
      closed_ = true;
      return take();
    }
    while (token_.kind != Kind::end && !token_.is(")")) take();
    take();
  }

  /// `[[ a && b ]]`: operators are its own.
  bool read_test() {
    while (token_.kind != Kind::end && !(token_.kind == Kind::word && token_.word.is("]]"))) {
      if (token_.kind == Kind::word) add_word();
      take();
    }
    if (token_.kind == Kind::end) {
      script_.understood = false;
      return true;
    }
    add_word();
    take();
    return true;
  }

  void add_word() {
    read_substitutions();
    in_command_ = true;
    closed_ = false;
    if (current_.words.empty() && is_assignment(token_.word)) {
      current_.assignments.push_back(token_.word);
    } else {
      current_.words.push_back(token_.word);
    }
  }

  void read_substitutions() {
    for (const std::string& text : token_.substitutions) {
      if (substitutions_ == kDeepestSubstitution) {
        script_.understood = false;
        continue;
      }
      ScriptReader(text, script_, depth_ + level_ + 1, substitutions_ + 1).read();
    }
  }

  void finish_command() {
    if (!in_command_) return;
    current_.depth = depth_ + level_;
    current_.substituted = substitutions_ > 0;
    current_.piped_into = piped_;
    last_ = script_.commands.size();
    script_.commands.push_back(std::exchange(current_, {}));
    in_command_ = false;
    piped_ = false;
  }

  /// Ends the command, or the group that was just closed.
  void connect(Connector connector) {
    const bool ends_something = in_command_ || closed_;
    finish_command();
    closed_ = false;
    if (!ends_something || script_.commands.empty()) return;
    if (last_ < script_.commands.size()) script_.commands[last_].next = connector;
    piped_ = connector == Connector::pipe;
  }

  ShellTokens tokens_;
  ShellScript& script_;
  const int depth_;          // around this text
  const int substitutions_;  // around this text
  ShellToken token_;
  ShellCommand current_;
  bool in_command_ = false;  // current_ has something
  bool closed_ = false;      // a group was closed and nothing came since
  bool piped_ = false;       // the next command reads from a pipe
  int level_ = 0;            // of compound commands within this text
  std::size_t last_ = 0;     // position of the last command of this text
};

}  // namespace

ShellScript read_shell(std::string_view text) {
  ShellScript script;
  ScriptReader(text, script, 0, 0).read();
  return script;
}

}  // namespace strake::check
