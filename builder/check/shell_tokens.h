#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "builder/check/shell_script.h"

namespace strake::check {

struct ShellToken {
  enum class Kind {
    word,
    operation,    // "&&", "||", ";", ";;", "|", "&", "(", ")"
    redirection,  // ">", "2>&", "<<-", …; its target is the next word
    newline,
    end,
  };
  Kind kind = Kind::end;
  ShellWord word;
  std::string text;                        // of an operation or a redirection
  std::vector<std::string> substitutions;  // the scripts within $(…) and `…` of a word

  bool is(std::string_view operation) const { return kind == Kind::operation && text == operation; }
};

/// Cuts shell text into tokens. Comments, line joins and the bodies of here-documents vanish.
class ShellTokens {
 public:
  explicit ShellTokens(std::string_view text) : rest_(text) {}

  ShellToken next();
  /// False once a quote or a bracket was found to have no end.
  bool well_formed() const noexcept { return well_formed_; }

 private:
  struct Heredoc {
    std::string name;
    bool strip_tabs = false;
  };

  void skip_blanks();
  bool take_operation(ShellToken& token);
  bool take_redirection(ShellToken& token);
  void take_word(ShellToken& token);
  void take_single_quoted(ShellToken& token);
  void take_double_quoted(ShellToken& token);
  void take_escape(ShellToken& token);
  void take_expansion(ShellToken& token);
  void take_backquoted(ShellToken& token);
  std::string_view take_bracketed(char open, char close);
  void skip_heredocs();

  std::string_view rest_;
  std::vector<Heredoc> heredocs_;  // announced on this line
  bool heredoc_word_next_ = false, strip_tabs_ = false;
  bool well_formed_ = true;
};

}  // namespace strake::check
