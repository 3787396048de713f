#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "builder/dockerfile/limits.h"

namespace strake::dockerfile {

/// The value of a variable; empty when it is not set. The view must live until the expansion ends.
using Lookup = std::function<std::optional<std::string_view>(std::string_view name)>;

struct ExpansionOptions {
  char escape = '\\';        // from the escape directive
  bool keep_quotes = false;  // quotes group, and stay in the result
  bool keep_escapes = false;
  bool quotes_are_text = false;               // quotes mean nothing: here-document bodies
  bool keep_unset = false;                    // an unset variable stays as written: for display
  std::size_t max_bytes = kMaxExpandedBytes;  // of the result
};

/// Variables met on the way, sorted: used ones had a value, unmatched ones had none.
struct VariableUse {
  std::set<std::string, std::less<>> used, unmatched;
};

struct ExpandedWord {
  std::string text;
  VariableUse variables;
};

struct ExpandedWords {
  std::vector<std::string> words;
  VariableUse variables;
};

/// Expands `word` to one word: quotes and escapes are resolved, and `$name`, `${name}` and the
/// forms `:-` `-` `:+` `+` `:?` `?` `#` `##` `%` `%%` `/` `//` replaced. Spaces stay, also those of
/// values. An unset variable is empty.
///
/// Throws Error(invalid_input), without a place, for unbalanced quotes or braces, an unknown
/// form, `${v:?message}` of an unset v, and results beyond the limits (limits.h).
ExpandedWord expand_word(std::string_view word, const Lookup& lookup,
                         const ExpansionOptions& options = {});

/// Like expand_word(), then split at spaces that are neither quoted nor escaped; the spaces of an
/// unquoted variable's value split too. Empty words vanish. As in EXPOSE.
ExpandedWords expand_to_words(std::string_view text, const Lookup& lookup,
                              const ExpansionOptions& options = {});

/// Expands the body of a here-document of COPY or ADD: quotes are text, and `\` is always the
/// escape character.
ExpandedWord expand_heredoc_body(std::string_view body, const Lookup& lookup);

}  // namespace strake::dockerfile
