#include "builder/dockerfile/expansion.h"

#include "builder/dockerfile/substitution.h"
#include "builder/dockerfile/unicode.h"
#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

/// Collects words as characters arrive; the white space of plain text separates them.
class WordSplitter {
 public:
  void add_plain(char32_t character, std::string_view bytes) {
    if (!is_space(character)) {
      word_ += bytes;
    } else if (!word_.empty()) {
      words_.push_back(std::move(word_));
      word_.clear();
    }
  }

  void add_plain(std::string_view text) {
    while (!text.empty()) {
      const Decoded next = decode(text);
      add_plain(next.character, text.substr(0, next.length));
      text.remove_prefix(next.length);
    }
  }

  void add_literal(std::string_view text) { word_ += text; }

  std::vector<std::string> take() && {
    if (!word_.empty()) words_.push_back(std::move(word_));
    return std::move(words_);
  }

 private:
  std::string word_;
  std::vector<std::string> words_;
};

class Expander {
 public:
  Expander(std::string_view text, const Lookup& lookup, const ExpansionOptions& options)
      : whole_(text), rest_(text), lookup_(lookup), options_(options) {}

  /// Expands everything; `splitter` may be null.
  std::string run(WordSplitter* splitter) {
    try {
      return expand_until(0, options_.keep_escapes, splitter);
    } catch (Error& error) {
      error.add_context("expanding " + excerpt(whole_));
      throw;
    }
  }

  VariableUse take_variables() { return std::move(variables_); }

 private:
  [[noreturn]] static void fail(const std::string& message) {
    throw Error(ErrorCode::invalid_input, message);
  }

  bool at(char c) const { return rest_.starts_with(c); }

  char take_byte() {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  /// The next character, as bytes.
  std::string_view take_character() {
    const std::string_view character = rest_.substr(0, decode(rest_).length);
    rest_.remove_prefix(character.size());
    return character;
  }

  void append(std::string& out, std::string_view text) const {
    if (out.size() + text.size() > options_.max_bytes)
      fail("the expanded text is longer than " + std::to_string(options_.max_bytes) + " bytes");
    out += text;
  }

  /// Expands up to an unquoted `stop`, which is consumed; 0: to the end.
  std::string expand_until(char stop, bool keep_escapes, WordSplitter* splitter) {
    std::string out;
    while (!rest_.empty()) {
      if (stop != 0 && at(stop)) {
        take_byte();
        return out;
      }
      if (at('$')) {
        const std::string value = expand_variable();
        append(out, value);
        if (splitter != nullptr) splitter->add_plain(value);
      } else if (!options_.quotes_are_text && (at('\'') || at('"'))) {
        const std::string text = at('"') ? double_quoted(keep_escapes) : single_quoted();
        append(out, text);
        if (splitter != nullptr) splitter->add_literal(text);
      } else {
        plain_character(out, keep_escapes, splitter);
      }
    }
    if (stop != 0) fail(std::string("missing \"") + stop + "\" in ${}");
    return out;
  }

  void plain_character(std::string& out, bool keep_escapes, WordSplitter* splitter) {
    const bool escaped = at(options_.escape);
    if (escaped) {
      const char escape = take_byte();
      if (keep_escapes) {
        append(out, {&escape, 1});
        if (splitter != nullptr) splitter->add_literal({&escape, 1});
      }
      if (rest_.empty()) return;  // at the very end it escapes nothing
    }
    const char32_t code = decode(rest_).character;
    const std::string_view character = take_character();
    append(out, character);
    if (splitter == nullptr) return;
    if (escaped) {
      splitter->add_literal(character);
    } else {
      splitter->add_plain(code, character);
    }
  }

  std::string single_quoted() {
    const std::size_t end = rest_.find('\'', 1);
    if (end == std::string_view::npos) fail("the single quote is never closed");
    const std::string_view text =
        options_.keep_quotes ? rest_.substr(0, end + 1) : rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return std::string(text);
  }

  std::string double_quoted(bool keep_escapes) {
    std::string out;
    take_byte();
    if (options_.keep_quotes) out += '"';
    while (!at('"')) {
      if (rest_.empty()) fail("the double quote is never closed");
      if (at('$')) {
        append(out, expand_variable());
        continue;
      }
      const bool escape = at(options_.escape);
      if (!escape) {
        append(out, take_character());
        continue;
      }
      const char c = take_byte();
      if (keep_escapes) append(out, {&c, 1});
      if (rest_.empty()) continue;
      // Only what has a meaning between double quotes can be escaped there.
      if (at('"') || at('$') || at(options_.escape)) {
        append(out, take_character());
      } else {
        append(out, {&c, 1});
      }
    }
    take_byte();
    if (options_.keep_quotes) out += '"';
    return out;
  }

  std::optional<std::string_view> look_up(std::string_view name) {
    const std::optional<std::string_view> value = lookup_(name);
    (value ? variables_.used : variables_.unmatched).emplace(name);
    return value;
  }

  /// At a `$`.
  std::string expand_variable() {
    take_byte();
    if (at('{')) return expand_braces();
    const std::string_view name = take_name();
    if (name.empty()) return "$";
    const std::optional<std::string_view> value = look_up(name);
    if (!value && options_.keep_unset) return "$" + std::string(name);
    return std::string(value.value_or(""));
  }

  std::string expand_braces() {
    if (++depth_ > kMaxExpansionDepth)
      fail("${} is nested deeper than " + std::to_string(kMaxExpansionDepth) + " levels");
    take_byte();
    if (at('{') || at('}') || at(':')) fail("bad substitution: ${} needs a name");
    const std::string name(take_name());
    if (rest_.empty()) fail("missing \"}\" in ${}");
    std::string result = substitute(name);
    --depth_;
    return result;
  }

  /// Behind `${name`.
  std::string substitute(const std::string& name) {
    std::string modifier(take_character());
    if (modifier == "}") {
      const std::optional<std::string_view> value = look_up(name);
      if (!value && options_.keep_unset) return "${" + name + "}";
      return std::string(value.value_or(""));
    }
    if (modifier == "/") return replace(name);
    const bool empty_is_unset = modifier == ":";
    if (empty_is_unset && !rest_.empty()) modifier += take_character();
    const char operation = modifier.back();
    const bool trims = operation == '#' || operation == '%';
    if (modifier.size() != (empty_is_unset ? 2U : 1U) || (empty_is_unset && trims) ||
        std::string_view("-+?#%").find(operation) == std::string_view::npos)
      throw Error(ErrorCode::invalid_input,
                  "unsupported modifier " + excerpt(modifier) + " in ${" + excerpt(name) + "…}")
          .hint("use one of :- - :+ + :? ? # ## % %% / and //");

    // The word is expanded even when it is not used: its errors and its variables count.
    const std::string word = expand_until('}', trims, nullptr);
    const std::optional<std::string_view> value = look_up(name);
    if (!value && options_.keep_unset) return "${" + name + modifier + word + "}";
    const bool missing = !value || (empty_is_unset && value->empty());
    switch (operation) {
      case '-':
        return missing ? word : std::string(*value);
      case '+':
        return missing ? std::string() : word;
      case '?':
        if (!missing) return std::string(*value);
        fail(name + ": " +
             (!word.empty() ? word
              : value       ? "is not allowed to be empty"
                            : "is not allowed to be unset"));
      default:
        return trim_value(value.value_or(""), word, operation);
    }
  }

  static std::string trim_value(std::string_view value, std::string_view pattern, char operation) {
    Trim trim = Trim::shortest;
    if (pattern.starts_with(operation)) {
      trim = Trim::longest;
      pattern.remove_prefix(1);
    }
    return operation == '#' ? remove_prefix(value, pattern, trim)
                            : remove_suffix(value, pattern, trim);
  }

  /// Behind `${name/`.
  std::string replace(const std::string& name) {
    const bool all = at('/');
    if (all) take_byte();
    const std::string pattern = expand_until('/', true, nullptr);
    const std::string replacement = expand_until('}', true, nullptr);
    const std::optional<std::string_view> value = look_up(name);
    if (!value && options_.keep_unset)
      return "${" + name + "/" + (all ? "/" : "") + pattern + "/" + replacement + "}";
    return all ? replace_all(value.value_or(""), pattern, replacement, options_.max_bytes)
               : replace_first(value.value_or(""), pattern, replacement);
  }

  /// A variable's name: letters, digits and `_`; or digits; or one of the shell's special ones,
  /// which are never set. May be empty.
  std::string_view take_name() {
    const std::string_view start = rest_;
    const auto taken = [&] { return start.substr(0, start.size() - rest_.size()); };
    if (rest_.empty()) return taken();
    const char32_t first = decode(rest_).character;
    if (is_digit(first)) {
      while (!rest_.empty() && is_digit(decode(rest_).character)) take_character();
      return taken();
    }
    if (std::string_view("@*#?-$!").find(rest_[0]) != std::string_view::npos) {
      take_byte();
      return taken();
    }
    while (!rest_.empty()) {
      const char32_t c = decode(rest_).character;
      if (c != '_' && !is_letter_or_digit(c)) break;
      take_character();
    }
    return taken();
  }

  std::string_view whole_, rest_;
  const Lookup& lookup_;
  const ExpansionOptions& options_;
  VariableUse variables_;
  int depth_ = 0;
};

}  // namespace

ExpandedWord expand_word(std::string_view word, const Lookup& lookup,
                         const ExpansionOptions& options) {
  Expander expander(word, lookup, options);
  std::string text = expander.run(nullptr);
  return {std::move(text), expander.take_variables()};
}

ExpandedWords expand_to_words(std::string_view text, const Lookup& lookup,
                              const ExpansionOptions& options) {
  Expander expander(text, lookup, options);
  WordSplitter splitter;
  expander.run(&splitter);
  return {std::move(splitter).take(), expander.take_variables()};
}

ExpandedWord expand_heredoc_body(std::string_view body, const Lookup& lookup) {
  return expand_word(body, lookup,
                     {.quotes_are_text = true, .max_bytes = kMaxExpandedHeredocBytes});
}

}  // namespace strake::dockerfile
