#include "builder/dockerfile/heredoc.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "builder/dockerfile/expansion.h"
#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

std::optional<std::string_view> nothing_is_set(std::string_view) {
  return std::nullopt;
}

/// The words of a shell command, quotes and all. Nothing expands, so the text cannot grow.
std::vector<std::string> words_as_written(std::string_view text) {
  const ExpansionOptions as_written{.keep_quotes = true,
                                    .keep_escapes = true,
                                    .keep_unset = true,
                                    .max_bytes = std::numeric_limits<std::size_t>::max()};
  return expand_to_words(text, nothing_is_set, as_written).words;
}

}  // namespace

std::string Heredoc::body() const {
  if (!strip_tabs) return content;
  std::string out;
  out.reserve(content.size());
  bool at_line_start = true;
  for (const char c : content) {
    if (at_line_start && c == '\t') continue;
    out += c;
    at_line_start = c == '\n';
  }
  return out;
}

std::optional<Heredoc> parse_heredoc_word(std::string_view word) {
  const std::size_t digits = std::min(word.find_first_not_of("0123456789"), word.size());
  std::string_view rest = word.substr(digits);
  if (!rest.starts_with("<<")) return std::nullopt;
  rest.remove_prefix(2);

  Heredoc heredoc;
  std::from_chars(word.data(), word.data() + digits, heredoc.descriptor);
  heredoc.strip_tabs = rest.starts_with('-');
  if (heredoc.strip_tabs) rest.remove_prefix(1);
  rest = trim_left(rest);
  if (rest.empty() || rest.find('<') != std::string_view::npos) return std::nullopt;

  // Read the name with and without its quotes: any difference means that part of it is quoted. The
  // escape character is that of shells whatever the Dockerfile's is.
  std::vector<std::string> name = expand_to_words(rest, nothing_is_set, {.keep_unset = true}).words;
  if (name.size() != 1) return std::nullopt;
  heredoc.expand = words_as_written(rest) == name;
  heredoc.name = std::move(name[0]);
  return heredoc;
}

std::vector<Heredoc> find_heredocs(std::string_view line) {
  std::vector<Heredoc> found;
  if (line.find("<<") == std::string_view::npos) return found;
  std::vector<std::string> words;
  try {
    words = words_as_written(line);
  } catch (const base::Error&) {
    return found;
  }
  for (const std::string& word : words)
    if (std::optional<Heredoc> heredoc = parse_heredoc_word(word))
      found.push_back(std::move(*heredoc));
  return found;
}

}  // namespace strake::dockerfile
