#include "tests/support/cpp_source.h"

#include <algorithm>
#include <cctype>

namespace strake::tests {
namespace {

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Where the comment or literal that begins at `at` ends; `at` itself if none begins there.
std::size_t end_of_non_code(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  const auto behind = [&](std::string_view mark, std::size_t from) {
    const std::size_t found = text.find(mark, from);
    return found == std::string_view::npos ? text.size() : found + mark.size();
  };
  if (rest.starts_with("//")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) return behind("*/", at + 2);
  if (rest.starts_with("R\"")) {
    const std::size_t open = std::min(text.find('(', at), text.size());
    return behind(")" + std::string(text.substr(at + 2, open - at - 2)) + "\"", open);
  }
  // A quote between digits separates them.
  const bool separator = at > 0 && is_word(text[at - 1]) && rest.size() > 1 && is_word(rest[1]);
  if (rest[0] != '"' && (rest[0] != '\'' || separator)) return at;
  std::size_t end = at + 1;
  while (end < text.size() && text[end] != rest[0] && text[end] != '\n')
    end += text[end] == '\\' ? 2 : 1;
  return std::min(end + 1, text.size());
}

/// What the code before a name says about it.
Qualifier qualifier_before(std::string_view before) {
  if (before.ends_with('.') || before.ends_with("->")) return Qualifier::other;
  if (!before.ends_with("::")) return Qualifier::none;
  before.remove_suffix(2);
  const auto ends_with_word = [&](std::string_view word) {
    return before.ends_with(word) &&
           (before.size() == word.size() || !is_word(before[before.size() - word.size() - 1]));
  };
  if (ends_with_word("fs") || ends_with_word("filesystem")) return Qualifier::filesystem;
  if (ends_with_word("std")) return Qualifier::std_;
  const bool scoped = !before.empty() && (is_word(before.back()) || before.back() == '>');
  return scoped ? Qualifier::other : Qualifier::global;
}

}  // namespace

std::string code_only(std::string_view text) {
  std::string code(text);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = end_of_non_code(text, at);
    std::replace_if(
        code.begin() + static_cast<std::ptrdiff_t>(at),
        code.begin() + static_cast<std::ptrdiff_t>(end), [](char c) { return c != '\n'; }, ' ');
    at = std::max(end, at + 1);
  }
  return code;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::vector<Include> includes_of(std::string_view text) {
  const auto skip = [](std::string_view& line, std::string_view mark) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (!line.starts_with(mark)) return false;
    line.remove_prefix(mark.size());
    return true;
  };
  std::vector<Include> includes;
  int number = 0;
  for (std::string_view line : lines_of(text)) {
    ++number;
    if (!skip(line, "#") || !skip(line, "include")) continue;
    const bool quoted = skip(line, "\"");
    if (quoted || skip(line, "<"))
      includes.push_back({std::string(line.substr(0, line.find_first_of("\">"))), quoted, number});
  }
  return includes;
}

std::vector<Use> uses_in(std::string_view line, int number) {
  std::vector<Use> uses;
  for (std::size_t at = 0; at < line.size();) {
    if (!is_word(line[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < line.size() && is_word(line[end])) ++end;
    const Qualifier qualifier = qualifier_before(line.substr(0, at));
    const std::size_t next = line.find_first_not_of(" \t", end);
    const bool called = next != std::string_view::npos && line[next] == '(';
    if (called || qualifier == Qualifier::filesystem)
      uses.push_back({line.substr(at, end - at), qualifier, number});
    at = end;
  }
  return uses;
}

}  // namespace strake::tests
