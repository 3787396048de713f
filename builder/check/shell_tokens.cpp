#include "builder/check/shell_tokens.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace strake::check {
namespace {

// The longest that fits wins, so longer ones come first.
constexpr auto kOperations =
    std::to_array<std::string_view>({";;&", ";;", ";&", ";", "&&", "||", "|&", "|", "&", "(", ")"});
constexpr auto kRedirections = std::to_array<std::string_view>(
    {"&>>", "&>", "<<<", "<<-", "<<", "<&", "<>", "<", ">>", ">&", ">|"});

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}
bool ends_word(char c) {
  return is_blank(c) || c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')' ||
         c == '<' || c == '>';
}

}  // namespace

void ShellTokens::skip_blanks() {
  while (!rest_.empty()) {
    if (is_blank(rest_[0])) {
      rest_.remove_prefix(1);
    } else if (rest_.starts_with("\\\n")) {
      rest_.remove_prefix(2);
    } else if (rest_[0] == '#') {
      rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
    } else {
      return;
    }
  }
}

ShellToken ShellTokens::next() {
  skip_blanks();
  ShellToken token;
  if (rest_.empty()) return token;
  if (rest_[0] == '\n') {
    rest_.remove_prefix(1);
    token.kind = ShellToken::Kind::newline;
    skip_heredocs();
    return token;
  }
  if (take_redirection(token) || take_operation(token)) return token;
  take_word(token);
  if (heredoc_word_next_) heredocs_.push_back({token.word.text, strip_tabs_});
  heredoc_word_next_ = false;
  return token;
}

bool ShellTokens::take_operation(ShellToken& token) {
  for (const std::string_view operation : kOperations) {
    if (!rest_.starts_with(operation)) continue;
    token.kind = ShellToken::Kind::operation;
    token.text = operation;
    rest_.remove_prefix(operation.size());
    return true;
  }
  return false;
}

bool ShellTokens::take_redirection(ShellToken& token) {
  const std::size_t digits = std::min<std::size_t>(
      std::find_if_not(rest_.begin(), rest_.end(), is_digit) - rest_.begin(), rest_.size());
  const std::string_view after = rest_.substr(digits);
  // "<(…)" and ">(…)" are words.
  if (after.starts_with("<(") || after.starts_with(">(")) return false;
  std::string_view found;
  for (const std::string_view redirection : kRedirections)
    if (found.empty() && after.starts_with(redirection)) found = redirection;
  if (found.empty() && after.starts_with('>')) found = ">";
  if (found.empty() || (digits > 0 && found[0] == '&')) return false;
  token.kind = ShellToken::Kind::redirection;
  token.text = rest_.substr(0, digits + found.size());
  rest_.remove_prefix(token.text.size());
  heredoc_word_next_ = found == "<<" || found == "<<-";
  strip_tabs_ = found == "<<-";
  return true;
}

void ShellTokens::take_word(ShellToken& token) {
  token.kind = ShellToken::Kind::word;
  const auto is_process_substitution = [this] {
    return rest_.starts_with("<(") || rest_.starts_with(">(");
  };
  while (!rest_.empty()) {
    const char c = rest_[0];
    if (is_process_substitution()) {
      const std::string_view before = rest_;
      rest_.remove_prefix(1);
      token.substitutions.emplace_back(take_bracketed('(', ')'));
      token.word.literal = false;
      token.word.text += before.substr(0, before.size() - rest_.size());
    } else if (ends_word(c)) {
      return;
    } else if (c == '\'') {
      take_single_quoted(token);
    } else if (c == '"') {
      take_double_quoted(token);
    } else if (c == '\\') {
      take_escape(token);
    } else if (c == '$') {
      take_expansion(token);
    } else if (c == '`') {
      take_backquoted(token);
    } else {
      token.word.text += c;
      rest_.remove_prefix(1);
    }
  }
}

void ShellTokens::take_single_quoted(ShellToken& token) {
  token.word.quoted = true;
  const std::size_t end = rest_.find('\'', 1);
  if (end == std::string_view::npos) well_formed_ = false;
  token.word.text += rest_.substr(1, std::min(end, rest_.size()) - 1);
  rest_.remove_prefix(std::min(end, rest_.size() - 1) + 1);
}

void ShellTokens::take_double_quoted(ShellToken& token) {
  token.word.quoted = true;
  rest_.remove_prefix(1);
  while (!rest_.empty() && rest_[0] != '"') {
    if (rest_[0] == '\\' && rest_.size() > 1) {
      const char escaped = rest_[1];
      const bool is_escape = escaped == '"' || escaped == '\\' || escaped == '$' || escaped == '`';
      if (!is_escape && escaped != '\n') token.word.text += '\\';
      if (escaped != '\n') token.word.text += escaped;
      rest_.remove_prefix(2);
    } else if (rest_[0] == '$') {
      take_expansion(token);
    } else if (rest_[0] == '`') {
      take_backquoted(token);
    } else {
      token.word.text += rest_[0];
      rest_.remove_prefix(1);
    }
  }
  if (rest_.empty()) {
    well_formed_ = false;
  } else {
    rest_.remove_prefix(1);
  }
}

void ShellTokens::take_escape(ShellToken& token) {
  if (rest_.size() > 1 && rest_[1] != '\n') {
    token.word.text += rest_[1];
    token.word.quoted = true;
  }
  rest_.remove_prefix(std::min<std::size_t>(2, rest_.size()));
}

/// At a "$".
void ShellTokens::take_expansion(ShellToken& token) {
  const std::string_view before = rest_;
  rest_.remove_prefix(1);
  if (rest_.empty()) {
    token.word.text += '$';
    return;
  }
  const char c = rest_[0];
  if (c == '(') {
    const bool is_arithmetic = rest_.starts_with("((");
    const std::string_view script = take_bracketed('(', ')');
    if (!is_arithmetic) token.substitutions.emplace_back(script);
  } else if (c == '{') {
    take_bracketed('{', '}');
  } else if (c == '\'') {  // $'…' of bash
    take_single_quoted(token);
    return;
  } else if (is_name_char(c) && !is_digit(c)) {
    const auto* end = std::find_if_not(rest_.begin(), rest_.end(), is_name_char);
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.begin()));
  } else if (is_digit(c) || std::string_view("@*#?-$!").find(c) != std::string_view::npos) {
    rest_.remove_prefix(1);
  } else {  // a lone dollar
    token.word.text += '$';
    return;
  }
  token.word.literal = false;
  token.word.text += before.substr(0, before.size() - rest_.size());
}

void ShellTokens::take_backquoted(ShellToken& token) {
  const std::string_view before = rest_;
  rest_.remove_prefix(1);
  std::string script;
  while (!rest_.empty() && rest_[0] != '`') {
    if (rest_[0] == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
    script += rest_[0];
    rest_.remove_prefix(1);
  }
  if (rest_.empty()) {
    well_formed_ = false;
  } else {
    rest_.remove_prefix(1);
  }
  token.word.literal = false;
  token.word.text += before.substr(0, before.size() - rest_.size());
  token.substitutions.push_back(std::move(script));
}

/// What is between the bracket that `rest_` starts with and the one that closes it: quotes and
/// escapes protect brackets, and brackets nest.
std::string_view ShellTokens::take_bracketed(char open, char close) {
  const std::string_view before = rest_;
  int level = 0;
  char quote = '\0';
  while (!rest_.empty()) {
    const char c = rest_[0];
    if (c == '\\' && quote != '\'') {
      rest_.remove_prefix(std::min<std::size_t>(2, rest_.size()));
      continue;
    }
    if (quote != '\0') {
      if (c == quote) quote = '\0';
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == open) {
      ++level;
    } else if (c == close && --level == 0) {
      rest_.remove_prefix(1);
      return before.substr(1, before.size() - rest_.size() - 2);
    }
    rest_.remove_prefix(1);
  }
  well_formed_ = false;
  return before.substr(1);
}

/// Behind the newline that ends a line with here-documents.
void ShellTokens::skip_heredocs() {
  for (const Heredoc& heredoc : heredocs_) {
    while (!rest_.empty()) {
      const std::size_t end = std::min(rest_.find('\n'), rest_.size());
      std::string_view line = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      if (heredoc.strip_tabs)
        line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line == heredoc.name) break;
    }
  }
  heredocs_.clear();
}

}  // namespace strake::check
