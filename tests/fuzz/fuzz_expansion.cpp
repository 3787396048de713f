// Words with variables: the same text as one word, as several, and quoted as in display names. The
// first byte chooses the escape character.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "builder/dockerfile/expansion.h"
#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace {

using namespace strake;
using namespace strake::dockerfile;

std::optional<std::string_view> lookup(std::string_view name) {
  if (name == "a") return "aXbXc/d*e?f\\";
  if (name == "b") return "*";
  if (name == "e") return "";
  if (name == "s") return " two  words\t";
  return std::nullopt;
}

void expand(std::string_view text, const ExpansionOptions& options) {
  try {
    if (expand_word(text, lookup, options).text.size() > kMaxExpandedBytes) std::abort();
  } catch (const base::Error&) {
  }
  try {
    for (const std::string& word : expand_to_words(text, lookup, options).words)
      if (word.empty() || word.size() > kMaxExpandedBytes) std::abort();
  } catch (const base::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  const char escape = bytes[0] == '`' ? '`' : '\\';
  const std::string_view text = std::string_view(bytes).substr(1);
  expand(text, {.escape = escape});
  expand(text, {.escape = escape, .keep_unset = true});
  expand(text, {.escape = escape, .keep_quotes = true, .keep_escapes = true});
  split_quoted_words(text, escape);
  try {
    parse_exec_form(text);
  } catch (const base::Error&) {
  }
  return 0;
}
