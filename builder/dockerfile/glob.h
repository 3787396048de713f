#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace strake::dockerfile {

/// A compiled path pattern: `*`, `?`, `[a-z]`, `[^a]`, `\x`. Neither `*` nor `?` crosses a slash.
/// Matching takes time proportional to the path for all but contrived patterns, and never more than
/// path times pattern.
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
  };
  class Run;  // one simulation of the automaton

  void compile(Dialect dialect);
  Token compile_class(std::string_view& rest, Dialect dialect) const;

  std::string text_;
  std::vector<Token> tokens_;
  bool literal_ = false;  // no special characters: a comparison will do
};

/// Whether `path` holds a character that Glob would not take literally.
bool has_wildcards(std::string_view path);

/// Go's filepath.Clean: "." and ".." resolved by text, slashes single, none at the end; "." for
/// nothing.
std::string clean_path(std::string_view path);

}  // namespace strake::dockerfile
