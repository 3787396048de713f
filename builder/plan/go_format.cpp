#include "builder/plan/go_format.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include "builder/dockerfile/unicode.h"

namespace strake::plan {
namespace {

/// `value` / 10^digits without trailing zeros in the fraction.
std::string decimal(long long value, int digits) {
  long long scale = 1;
  for (int i = 0; i < digits; ++i) scale *= 10;
  std::string out = std::to_string(value / scale);
  std::string fraction = std::to_string(value % scale);
  fraction.insert(0, static_cast<std::size_t>(digits) - fraction.size(), '0');
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return fraction.empty() ? out : out + "." + fraction;
}

/// Ranges of characters that Go does not print: format and private characters, line separators, all
/// spaces but one.
constexpr std::pair<char32_t, char32_t> kNotPrinted[] = {
    {0x0000, 0x001F},   {0x007F, 0x00A0},   {0x00AD, 0x00AD},   {0x0600, 0x0605},
    {0x061C, 0x061C},   {0x06DD, 0x06DD},   {0x070F, 0x070F},   {0x1680, 0x1680},
    {0x180E, 0x180E},   {0x2000, 0x200F},   {0x2028, 0x202F},   {0x205F, 0x206F},
    {0x3000, 0x3000},   {0xD800, 0xF8FF},   {0xFDD0, 0xFDEF},   {0xFEFF, 0xFEFF},
    {0xFFF0, 0xFFFB},   {0xFFFE, 0xFFFF},   {0x110BD, 0x110BD}, {0x1BCA0, 0x1BCA3},
    {0x1D173, 0x1D17A}, {0xE0000, 0xE00FF}, {0xE01F0, 0x10FFFF}};

bool is_printed(char32_t character) {
  return std::none_of(std::begin(kNotPrinted), std::end(kNotPrinted), [&](const auto& range) {
    return range.first <= character && character <= range.second;
  });
}

/// As strconv.Quote does between `quote`s.
void append_escaped(std::string& out, char32_t character, char quote) {
  constexpr std::string_view kControls = "\a\b\f\n\r\t\v";
  constexpr std::string_view kNames = "abfnrtv";
  const std::size_t control =
      character < 0x80 ? kControls.find(static_cast<char>(character)) : std::string_view::npos;
  if (character == static_cast<char32_t>(quote) || character == '\\') {
    out += '\\';
    out += static_cast<char>(character);
  } else if (control != std::string_view::npos) {
    out += '\\';
    out += kNames[control];
  } else if (character < 0x110000 && is_printed(character)) {
    dockerfile::append_utf8(out, character);
  } else {
    const bool is_byte = character < 0x80 || character >= dockerfile::kInvalidByte;
    char escape[16];
    std::snprintf(escape, sizeof escape,
                  is_byte               ? "\\x%02x"
                  : character < 0x10000 ? "\\u%04x"
                                        : "\\U%08x",
                  static_cast<unsigned>(is_byte ? character & 0xFF : character));
    out += escape;
  }
}

}  // namespace

std::string go_quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const dockerfile::Decoded next = dockerfile::decode(text);
    append_escaped(out, next.character, '"');
    text.remove_prefix(next.length);
  }
  return out + '"';
}

std::string go_quoted_character(char32_t character) {
  std::string out = "'";
  append_escaped(out, character, '\'');
  return out + "'";
}

std::string go_quoted(const std::vector<std::string>& words) {
  std::string out = "[";
  for (const std::string& word : words) {
    if (out.size() > 1) out += ' ';
    out += go_quoted(word);
  }
  return out + "]";
}

std::string go_list(const std::vector<std::string>& words) {
  std::string out = "[";
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += ' ';
    out += words[i];
  }
  return out + "]";
}

std::string go_duration(long long nanoseconds) {
  constexpr long long kSecond = 1'000'000'000;
  if (nanoseconds == 0) return "0s";
  if (nanoseconds < 0) return "-" + go_duration(-nanoseconds);
  if (nanoseconds < 1'000) return std::to_string(nanoseconds) + "ns";
  if (nanoseconds < 1'000'000) return decimal(nanoseconds, 3) + "µs";
  if (nanoseconds < kSecond) return decimal(nanoseconds, 6) + "ms";
  const long long minutes = nanoseconds / (60 * kSecond);
  const std::string seconds = decimal(nanoseconds % (60 * kSecond), 9) + "s";
  if (minutes == 0) return seconds;
  if (minutes < 60) return std::to_string(minutes) + "m" + seconds;
  return std::to_string(minutes / 60) + "h" + std::to_string(minutes % 60) + "m" + seconds;
}

}  // namespace strake::plan
