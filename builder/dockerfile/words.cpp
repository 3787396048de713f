#include "builder/dockerfile/words.h"

#include <algorithm>

#include "builder/dockerfile/unicode.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

// Newlines never reach the words of an instruction, and no-break spaces do not separate them.
constexpr std::string_view kBlanks = "\t\v\f\r ";

}  // namespace

std::string_view trim_left(std::string_view text) {
  while (!text.empty()) {
    const Decoded first = decode(text);
    if (!is_space(first.character)) break;
    text.remove_prefix(first.length);
  }
  return text;
}

std::string_view trim(std::string_view text) {
  text = trim_left(text);
  while (!text.empty()) {
    // White space is at most three bytes long in UTF-8.
    std::size_t start = text.size() - 1;
    while (start > 0 && text.size() - start < 3 && (text[start] & '\xC0') == '\x80') --start;
    const Decoded last = decode(text.substr(start));
    if (!is_space(last.character) || start + last.length != text.size()) break;
    text.remove_suffix(last.length);
  }
  return text;
}

std::string to_upper(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::pair<std::string_view, std::optional<std::string_view>> cut_blanks(std::string_view text) {
  const std::size_t end = text.find_first_of(kBlanks);
  if (end == std::string_view::npos) return {text, std::nullopt};
  const std::size_t next = std::min(text.find_first_not_of(kBlanks, end), text.size());
  return {text.substr(0, end), text.substr(next)};
}

std::vector<std::string> split_blanks(std::string_view text) {
  std::vector<std::string> words;
  for (text = trim(text); !text.empty();) {
    const auto [word, rest] = cut_blanks(text);
    words.emplace_back(word);
    text = rest.value_or("");
  }
  return words;
}

std::vector<std::string> split_quoted_words(std::string_view text, char escape) {
  std::vector<std::string> words;
  while (!(text = trim_left(text)).empty()) {
    std::string word;
    char quote = 0;
    while (!text.empty()) {
      const Decoded next = decode(text);
      if (quote == 0 && is_space(next.character)) break;
      const bool escaped = text[0] == escape && quote != '\'';
      if (escaped && text.size() == 1) {  // an escape at the very end escapes nothing
        text = {};
        break;
      }
      const std::size_t taken = escaped ? 1 + decode(text.substr(1)).length : next.length;
      if (quote != 0 && text[0] == quote) {
        quote = 0;
      } else if (quote == 0 && (text[0] == '"' || text[0] == '\'')) {
        quote = text[0];
      }
      word += text.substr(0, taken);
      text.remove_prefix(taken);
    }
    if (!word.empty()) words.push_back(std::move(word));
  }
  return words;
}

std::vector<std::string> take_flags(std::string_view& text) {
  std::vector<std::string> flags;
  while ((text = trim_left(text)).starts_with("--")) {
    std::string flag;
    char quote = 0;
    while (!text.empty()) {
      const Decoded next = decode(text);
      if (quote == 0 && is_space(next.character)) break;
      std::size_t taken = next.length;
      if (quote == 0 && (text[0] == '"' || text[0] == '\'')) {
        quote = text[0];
      } else if (quote != 0 && text[0] == quote) {
        quote = 0;
      } else if (text[0] == '\\') {
        taken = text.size() == 1 ? 1 : 1 + decode(text.substr(1)).length;
        flag += text.substr(1, taken - 1);
      } else {
        flag += text.substr(0, taken);
      }
      text.remove_prefix(taken);
    }
    if (flag == "--") break;
    flags.push_back(std::move(flag));
  }
  text = trim(text);
  return flags;
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t kShown = 120;
  if (text.size() <= kShown) return base::quoted(text);
  std::size_t end = kShown;
  while (end > 0 && (text[end] & '\xC0') == '\x80') --end;  // not within a character
  return base::quoted(text.substr(0, end)) + "…";
}

}  // namespace strake::dockerfile
