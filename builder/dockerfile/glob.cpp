#include "builder/dockerfile/glob.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include "builder/dockerfile/unicode.h"
#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

// A pattern is a list of tokens, and an automaton whose state i means: the tokens before i have
// been matched. All states that are possible after each character of the path are kept as a set of
// bits, so there is no backtracking.

namespace strake::dockerfile {

bool Glob::Token::accepts(char32_t c) const {
  switch (kind) {
    case Kind::literal:
      return c == character;
    case Kind::any_char:
    case Kind::star:
      return c != '/';
    case Kind::char_class:
      return negated != std::any_of(ranges.begin(), ranges.end(), [c](const auto& range) {
               return c >= range.first && c <= range.second;
             });
    case Kind::any_path:
    case Kind::directories:
      return true;
  }
  return false;
}

bool Glob::Token::may_be_empty() const {
  return kind == Kind::star || kind == Kind::any_path || kind == Kind::directories;
}

class Glob::Run {
 public:
  explicit Run(const Glob& glob) : tokens_(glob.tokens_) {
    const std::size_t words = tokens_.size() / 64 + 1;
    if (words > 1) {
      large_.resize(2 * words);
      now_ = std::span(large_).first(words);
      next_ = std::span(large_).last(words);
    }
    enter(now_, 0);
  }

  void step(char32_t c) {
    std::fill(next_.begin(), next_.end(), 0);
    for (std::size_t word = 0; word < now_.size(); ++word) {
      for (std::uint64_t bits = now_[word]; bits != 0; bits &= bits - 1) {
        const std::size_t state = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
        if (state < tokens_.size() && tokens_[state].accepts(c)) advance(state, c);
      }
    }
    std::swap(now_, next_);
  }

  bool accepts() const { return has(tokens_.size()); }

  /// Whether a longer path may still match.
  bool can_go_on() const {
    for (std::size_t word = 0; word < now_.size(); ++word) {
      std::uint64_t bits = now_[word];
      if (word == tokens_.size() / 64) bits &= ~(std::uint64_t{1} << tokens_.size() % 64);
      if (bits != 0) return true;
    }
    return false;
  }

 private:
  using Set = std::span<std::uint64_t>;

  bool has(std::size_t state) const { return (now_[state / 64] >> state % 64 & 1) != 0; }

  static void add(Set set, std::size_t state) { set[state / 64] |= std::uint64_t{1} << state % 64; }

  /// Adds `state`, and the states behind it that need no character.
  void enter(Set set, std::size_t state) const {
    add(set, state);
    while (state < tokens_.size() && tokens_[state].may_be_empty()) add(set, ++state);
  }

  void advance(std::size_t state, char32_t c) {
    switch (tokens_[state].kind) {
      case Token::Kind::star:
      case Token::Kind::any_path:
        enter(next_, state);
        break;
      case Token::Kind::directories:
        // Having begun, it must end behind a slash: not entered again, only kept.
        add(next_, state);
        if (c == '/') enter(next_, state + 1);
        break;
      default:
        enter(next_, state + 1);
    }
  }

  std::span<const Token> tokens_;
  std::array<std::uint64_t, 2> small_{};
  std::vector<std::uint64_t> large_;
  Set now_{small_.data(), 1};
  Set next_{small_.data() + 1, 1};
};

Glob::Glob(std::string_view pattern, Dialect dialect) : text_(pattern) {
  compile(pattern, dialect);
  const auto is_special = [](const Token& token) { return token.kind != Token::Kind::literal; };
  const auto first = std::find_if(tokens_.begin(), tokens_.end(), is_special);
  literal_ = first == tokens_.end();
  for (auto token = tokens_.begin(); token != first; ++token)
    append_utf8(prefix_, token->character);
  const auto last = std::find_if(tokens_.rbegin(), tokens_.rend(), is_special);
  for (auto token = last.base(); token != tokens_.end(); ++token)
    append_utf8(suffix_, token->character);
}

void Glob::fail() const {
  throw base::Error(base::ErrorCode::invalid_input,
                    "syntax error in the pattern " + excerpt(text_));
}

void Glob::compile(std::string_view rest, Dialect dialect) {
  const auto add = [this](Token::Kind kind) {
    const bool repeats = !tokens_.empty() && tokens_.back().kind == kind;
    if (!repeats || kind == Token::Kind::any_char) tokens_.push_back({.kind = kind});
  };
  const auto take = [&rest] {
    const Decoded next = decode(rest);
    rest.remove_prefix(next.length);
    return next.character;
  };
  while (!rest.empty()) {
    if (dialect == Dialect::deep && rest.starts_with("**")) {
      rest.remove_prefix(2);
      // "**name" is any path that ends in "name", but only if the name has no wildcards: with them,
      // the name must be whole. moby/patternmatcher does so, and users depend on either.
      const bool suffix = tokens_.empty() && !rest.starts_with('/') &&
                          rest.find_first_of("*?[]\\") == std::string_view::npos;
      if (rest.starts_with('/')) rest.remove_prefix(1);
      add(rest.empty() || suffix ? Token::Kind::any_path : Token::Kind::directories);
      continue;
    }
    char32_t c = take();
    switch (c) {
      case '*':
        add(Token::Kind::star);
        continue;
      case '?':
        add(Token::Kind::any_char);
        continue;
      case '[':
        tokens_.push_back(compile_class(rest, dialect));
        continue;
      case '\\':
        if (rest.empty()) fail();
        c = take();
        break;
      default:
        break;
    }
    tokens_.push_back({.kind = Token::Kind::literal, .character = c});
  }
}

/// Behind the "[".
Glob::Token Glob::compile_class(std::string_view& rest, Dialect dialect) const {
  Token token{.kind = Token::Kind::char_class};
  token.negated = rest.starts_with('^');
  if (token.negated) rest.remove_prefix(1);
  while (token.ranges.empty() || !rest.starts_with(']')) {
    const char32_t first = class_member(rest);
    char32_t last = first;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      last = class_member(rest);
    }
    // A range that runs backwards is an error to one of the two matchers we follow.
    if (dialect == Dialect::deep && first > last) fail();
    token.ranges.emplace_back(first, last);
  }
  rest.remove_prefix(1);
  return token;
}

char32_t Glob::class_member(std::string_view& rest) const {
  if (rest.empty() || rest[0] == '-' || rest[0] == ']') fail();
  if (rest[0] == '\\') rest.remove_prefix(1);
  if (rest.empty()) fail();
  const Decoded member = decode(rest);
  rest.remove_prefix(member.length);
  if (rest.empty()) fail();  // the class does not end
  return member.character;
}

bool Glob::matches(std::string_view path) const {
  if (literal_) return path == prefix_;
  if (!path.starts_with(prefix_) || !path.ends_with(suffix_)) return false;
  Run run(*this);
  while (!path.empty()) {
    const Decoded next = decode(path);
    run.step(next.character);
    path.remove_prefix(next.length);
  }
  return run.accepts();
}

bool Glob::matches_path_or_parent(std::string_view path) const {
  if (!path.starts_with(prefix_)) return false;
  if (literal_) return path.size() == prefix_.size() || path[prefix_.size()] == '/';
  Run run(*this);
  while (!path.empty()) {
    const Decoded next = decode(path);
    if (next.character == '/' && run.accepts()) return true;
    run.step(next.character);
    path.remove_prefix(next.length);
  }
  return run.accepts();
}

bool Glob::may_match_below(std::string_view directory) const {
  Run run(*this);
  while (!directory.empty()) {
    const Decoded next = decode(directory);
    run.step(next.character);
    directory.remove_prefix(next.length);
  }
  run.step('/');
  return run.can_go_on();
}

bool has_wildcards(std::string_view path) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '*' || path[i] == '?' || path[i] == '[') return true;
    if (path[i] == '\\') ++i;
  }
  return false;
}

std::string clean_path(std::string_view path) {
  const bool rooted = path.starts_with('/');
  std::vector<std::string_view> names;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view name = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (name.empty() || name == ".") continue;
    if (name != "..") {
      names.push_back(name);
    } else if (!names.empty() && names.back() != "..") {
      names.pop_back();
    } else if (!rooted) {
      names.push_back(name);
    }
  }
  std::string out = rooted ? "/" : "";
  for (const std::string_view name : names) {
    if (!out.empty() && out != "/") out += '/';
    out += name;
  }
  return out.empty() ? "." : out;
}

}  // namespace strake::dockerfile
