#include "builder/dockerfile/substitution.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "builder/dockerfile/limits.h"
#include "builder/dockerfile/unicode.h"
#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

// A pattern is a list of segments with a `*` between each two. Matching places one segment after
// the other, each as early as it goes (the last one as late as it goes, for the longest match):
// since a star takes anything on its line, an earlier place never spoils a later segment. No
// backtracking, so no pattern takes exponential time.

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

using Text = std::u32string;
constexpr char32_t kAnyOne = 0xFFFFFFFF;  // `?` in a segment

Text decode_all(std::string_view bytes) {
  Text text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Decoded next = decode(bytes);
    text += next.character;
    bytes.remove_prefix(next.length);
  }
  return text;
}

std::string encode(std::u32string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

struct Match {
  std::size_t begin = 0, end = 0;
};

class Pattern {
 public:
  explicit Pattern(std::string_view pattern) : segments_(1) {
    if (pattern.size() > kMaxSubstitutionPatternBytes)
      throw Error(ErrorCode::invalid_input,
                  "pattern of " + std::to_string(pattern.size()) + " bytes, at most " +
                      std::to_string(kMaxSubstitutionPatternBytes) + " are allowed");
    const Text text = decode_all(pattern);
    for (std::size_t i = 0; i < text.size(); ++i) {
      char32_t c = text[i];
      if (c == '*') {
        segments_.emplace_back();
        continue;
      }
      if (c == '?') c = kAnyOne;
      if (c == '\\') {
        const char32_t next = i + 1 < text.size() ? text[++i] : 0;
        // Inside ${} a slash or brace must be escaped to get here.
        if (next != '*' && next != '?' && next != '\\' && next != '}' && next != '/')
          throw Error(ErrorCode::invalid_input, "invalid escape in the pattern " + excerpt(pattern))
              .hint("only \"*\", \"?\" and \"\\\" can be escaped in a pattern");
        c = next;
      }
      segments_.back() += c;
    }
  }

  void reverse() {
    std::reverse(segments_.begin(), segments_.end());
    for (Text& segment : segments_) std::reverse(segment.begin(), segment.end());
  }

  /// Where a match that starts at `begin` ends.
  std::optional<std::size_t> match_at(const Text& text, std::size_t begin, Trim trim) const {
    if (!fits(segments_[0], text, begin)) return std::nullopt;
    std::size_t position = begin + segments_[0].size();
    for (std::size_t i = 1; i < segments_.size(); ++i) {
      const bool latest = trim == Trim::longest && i + 1 == segments_.size();
      const std::optional<std::size_t> place = find(segments_[i], text, position, latest);
      if (!place) return std::nullopt;
      position = *place + segments_[i].size();
    }
    return position;
  }

  /// The first and longest match that begins at `from` or later.
  std::optional<Match> search(const Text& text, std::size_t from) const {
    for (std::size_t begin = from; begin <= text.size(); ++begin) {
      if (!fits(segments_[0], text, begin)) continue;
      if (const auto end = match_at(text, begin, Trim::longest)) return Match{begin, *end};
      // A later segment is missing on this line, so it is missing for every other start on it.
      begin = std::min(text.find(U'\n', begin), text.size());
    }
    return std::nullopt;
  }

 private:
  static bool fits(const Text& segment, const Text& text, std::size_t at) {
    if (text.size() - at < segment.size()) return false;
    for (std::size_t i = 0; i < segment.size(); ++i) {
      const char32_t c = text[at + i];
      if (segment[i] == kAnyOne ? c == '\n' : segment[i] != c) return false;
    }
    return true;
  }

  /// The first (or last) place for `segment` that a star starting at `from` can reach.
  static std::optional<std::size_t> find(const Text& segment, const Text& text, std::size_t from,
                                         bool latest) {
    const std::size_t line_end = std::min(text.find(U'\n', from), text.size());
    if (!latest) {
      for (std::size_t at = from; at <= line_end; ++at)
        if (fits(segment, text, at)) return at;
      return std::nullopt;
    }
    for (std::size_t at = line_end + 1; at-- > from;)
      if (fits(segment, text, at)) return at;
    return std::nullopt;
  }

  std::vector<Text> segments_;
};

/// Appends a replacement the way BuildKit's `//` does: it takes `$name` for a group of a regular
/// expression. There are no groups, so that is nothing, and `$0` is the match itself.
void append_template(Text& out, const Text& replacement, std::u32string_view match) {
  for (std::size_t i = 0; i < replacement.size();) {
    if (replacement[i] != '$') {
      out += replacement[i++];
      continue;
    }
    const std::size_t dollar = i++;
    if (i < replacement.size() && replacement[i] == '$') {
      out += replacement[i++];
      continue;
    }
    const bool braced = i < replacement.size() && replacement[i] == '{';
    const std::size_t begin = i + (braced ? 1 : 0);
    std::size_t end = begin;
    while (end < replacement.size() &&
           (is_letter_or_digit(replacement[end]) || replacement[end] == '_'))
      ++end;
    const bool closed = !braced || (end < replacement.size() && replacement[end] == '}');
    if (end == begin || !closed) {
      out += replacement[dollar];
      continue;
    }
    if (replacement.compare(begin, end - begin, U"0") == 0) out += match;
    i = end + (braced ? 1 : 0);
  }
}

}  // namespace

std::string remove_prefix(std::string_view value, std::string_view pattern, Trim trim) {
  const Text text = decode_all(value);
  const std::optional<std::size_t> end = Pattern(pattern).match_at(text, 0, trim);
  return encode(std::u32string_view(text).substr(end.value_or(0)));
}

std::string remove_suffix(std::string_view value, std::string_view pattern, Trim trim) {
  Text text = decode_all(value);
  Pattern reversed(pattern);
  reversed.reverse();
  std::reverse(text.begin(), text.end());
  const std::size_t length = reversed.match_at(text, 0, trim).value_or(0);
  std::reverse(text.begin(), text.end());
  return encode(std::u32string_view(text).substr(0, text.size() - length));
}

std::string replace_first(std::string_view value, std::string_view pattern,
                          std::string_view replacement) {
  const Text text = decode_all(value);
  const std::optional<Match> match = Pattern(pattern).search(text, 0);
  if (!match) return std::string(value);
  const std::u32string_view view = text;
  std::string out = encode(view.substr(0, match->begin));
  out += replacement;
  return out + encode(view.substr(match->end));
}

std::string replace_all(std::string_view value, std::string_view pattern,
                        std::string_view replacement, std::size_t max_bytes) {
  const Text text = decode_all(value);
  const Text with = decode_all(replacement);
  const std::u32string_view view = text;
  const Pattern compiled(pattern);
  Text out;
  std::size_t copied = 0;  // everything before is in `out`
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::optional<Match> match = compiled.search(text, from);
    if (!match) break;
    out += view.substr(copied, match->begin - copied);
    // An empty match right behind another match is part of it.
    if (match->end > copied || match->begin == 0)
      append_template(out, with, view.substr(match->begin, match->end - match->begin));
    if (out.size() > max_bytes)
      throw Error(ErrorCode::invalid_input, "the result of a substitution is longer than " +
                                                std::to_string(max_bytes) + " bytes");
    copied = match->end;
    from = std::max(match->end, from + 1);
  }
  out += view.substr(copied);
  return encode(out);
}

}  // namespace strake::dockerfile
