#include <algorithm>

#include "builder/dockerfile/unicode.h"
#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

// The JSON of exec forms (RFC 8259). Whether a text is JSON at all decides its meaning: `["a"] b`
// and `['a']` are commands for a shell. So this is a strict reader that answers yes or no, and
// keeps the strings of the outermost array.

namespace strake::dockerfile {

namespace {

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : rest_(text) {}

  /// Reads `[ value, … ]` up to the end of the text.
  bool read_array() {
    if (!take('[')) return false;
    if (!take(']')) {
      do {
        skip_space();
        if (rest_.starts_with('"')) {
          if (!read_string(strings_.emplace_back())) return false;
        } else {
          only_strings_ = false;
          if (!skip_value(1)) return false;
        }
      } while (take(','));
      if (!take(']')) return false;
    }
    skip_space();
    return rest_.empty();
  }

  bool only_strings() const { return only_strings_; }
  std::vector<std::string>& strings() { return strings_; }

 private:
  static constexpr int kMaxDepth = 64;

  void skip_space() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }

  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  bool take_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  bool take_digits() {
    const std::size_t count = std::min(rest_.find_first_not_of("0123456789"), rest_.size());
    rest_.remove_prefix(count);
    return count > 0;
  }

  bool skip_number() {
    take_word("-");
    if (!take_word("0") && !take_digits()) return false;
    if (take_word(".") && !take_digits()) return false;
    if (take_word("e") || take_word("E")) {
      if (!take_word("+")) take_word("-");
      return take_digits();
    }
    return true;
  }

  bool skip_value(int depth) {
    if (depth > kMaxDepth) return false;
    skip_space();
    if (rest_.starts_with('"')) return skip_string();
    if (take('[')) return skip_members(depth, ']', false);
    if (take('{')) return skip_members(depth, '}', true);
    return take_word("true") || take_word("false") || take_word("null") || skip_number();
  }

  bool skip_members(int depth, char end, bool keyed) {
    if (take(end)) return true;
    do {
      skip_space();
      if (keyed && !(skip_string() && take(':'))) return false;
      if (!skip_value(depth + 1)) return false;
    } while (take(','));
    return take(end);
  }

  bool skip_string() {
    std::string ignored;
    return read_string(ignored);
  }

  bool read_string(std::string& out) {
    if (!take('"')) return false;
    while (!rest_.empty()) {
      const char c = rest_[0];
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        out += c;
      } else if (!read_escape(out)) {
        return false;
      }
    }
    return false;
  }

  bool read_escape(std::string& out) {
    if (rest_.empty()) return false;
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kValues = "\"\\/\b\f\n\r\t";
    const char c = rest_[0];
    rest_.remove_prefix(1);
    if (c == 'u') return read_code_point(out);
    const std::size_t index = kNames.find(c);
    if (index == std::string_view::npos) return false;
    out += kValues[index];
    return true;
  }

  bool read_code_point(std::string& out) {
    std::optional<char32_t> unit = read_hex4();
    if (!unit) return false;
    constexpr char32_t kReplacement = 0xFFFD;
    if (*unit >= 0xD800 && *unit < 0xDC00 && rest_.starts_with("\\u")) {
      const std::string_view after_first = rest_;
      rest_.remove_prefix(2);
      const std::optional<char32_t> low = read_hex4();
      if (!low) return false;
      if (*low >= 0xDC00 && *low < 0xE000) {
        append_utf8(out, 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00));
        return true;
      }
      rest_ = after_first;  // not a pair: the second is read on its own
    }
    append_utf8(out, *unit >= 0xD800 && *unit < 0xE000 ? kReplacement : *unit);
    return true;
  }

  std::optional<char32_t> read_hex4() {
    if (rest_.size() < 4) return std::nullopt;
    char32_t value = 0;
    for (const char c : rest_.substr(0, 4)) {
      constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
      const std::size_t digit = kDigits.find(c);
      if (digit == std::string_view::npos) return std::nullopt;
      value = value * 16 + static_cast<char32_t>(digit < 16 ? digit : digit - 6);
    }
    rest_.remove_prefix(4);
    return value;
  }

  std::string_view rest_;
  std::vector<std::string> strings_;
  bool only_strings_ = true;
};

}  // namespace

std::optional<std::vector<std::string>> parse_exec_form(std::string_view text) {
  text = trim_left(text);
  if (!text.starts_with('[')) return std::nullopt;
  JsonReader reader(text);
  if (!reader.read_array()) return std::nullopt;
  if (!reader.only_strings())
    throw base::Error(base::ErrorCode::invalid_input,
                      "the JSON array " + excerpt(text) + " holds something else than strings")
        .hint("put each argument in double quotes");
  return std::move(reader.strings());
}

}  // namespace strake::dockerfile
