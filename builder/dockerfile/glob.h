#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strake::dockerfile {

/// A compiled path pattern: `*`, `?`, `[a-z]`, `[^a]`, `\x`. Neither `*` nor `?` crosses a slash.
/// Matching reads the path once, whatever the pattern: it takes at most path times pattern steps.
class Glob {
 public:
  enum class Dialect {
    /// Go's filepath.Match: COPY and ADD sources.
    path,
    /// moby/patternmatcher: .dockerignore, --exclude, --parents. `**` crosses slashes: `**/x` is x
    /// at any depth, `x/**` everything below x, `x**` everything that starts with x.
    deep,
  };

  /// Throws Error(invalid_input) for a pattern that is not well formed.
  Glob(std::string_view pattern, Dialect dialect);

  bool matches(std::string_view path) const;

  /// Whether `path` or a directory above it matches.
  bool matches_path_or_parent(std::string_view path) const;

  /// Whether some path below `directory` (at any depth) could match.
  bool may_match_below(std::string_view directory) const;

  const std::string& text() const noexcept { return text_; }

 private:
  struct Token {
    enum class Kind : std::uint8_t {
      literal,      // one character
      any_char,     // ?
      char_class,   // [..]
      star,         // * : any characters but slashes
      any_path,     // ** at an end: any characters
      directories,  // ** or **/ inside: nothing, or anything up to a slash
    };
    Kind kind = Kind::literal;
    bool negated = false;
    char32_t character = 0;
    std::vector<std::pair<char32_t, char32_t>> ranges = {};

    bool accepts(char32_t c) const;
    bool may_be_empty() const;
  };
  class Run;

  void compile(std::string_view rest, Dialect dialect);
  Token compile_class(std::string_view& rest, Dialect dialect) const;
  char32_t class_member(std::string_view& rest) const;
  [[noreturn]] void fail() const;

  std::string text_;
  std::vector<Token> tokens_;
  std::string prefix_;    // how every matching path starts
  std::string suffix_;    // and ends
  bool literal_ = false;  // the prefix is the whole pattern: a comparison will do
};

/// Whether `path` is a pattern: it has a `*`, `?` or `[` that is not escaped.
bool has_wildcards(std::string_view path);

/// Go's filepath.Clean: "." and ".." resolved by text, slashes single, none at the end; "." for
/// nothing.
std::string clean_path(std::string_view path);

}  // namespace strake::dockerfile
