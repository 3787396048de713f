#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strake::dockerfile {

/// A here-document: `3<<-"EOF"` and the lines up to EOF.
struct Heredoc {
  std::string name;         // the terminator, unquoted; the file name in COPY and ADD
  std::string content;      // as written, every line with its line end
  bool expand = true;       // no part of the name was quoted
  bool strip_tabs = false;  // <<-: leading tabs are not part of the content
  unsigned descriptor = 0;  // the digits before <<

  /// The content with leading tabs removed where `<<-` asked for it.
  std::string body() const;

  bool operator==(const Heredoc&) const = default;
};

/// The here-document that `word` announces, still without content. Empty when `word` announces
/// none. Throws Error(invalid_input), without a place, for a name that is no word: `<<${a/}`.
std::optional<Heredoc> parse_heredoc_word(std::string_view word);

/// All here-documents that the words of `line` announce, in order. A line whose quotes do not match
/// announces none: it is the shell's business. Throws like parse_heredoc_word().
std::vector<Heredoc> find_heredocs(std::string_view line);

}  // namespace strake::dockerfile
