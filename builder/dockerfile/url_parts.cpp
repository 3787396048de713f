#include "builder/dockerfile/url_parts.h"

#include <algorithm>

namespace strake::dockerfile {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

Halves cut(std::string_view text, char separator) {
  const std::size_t at = text.find(separator);
  if (at == text.npos) return {text, {}, false};
  return {text.substr(0, at), text.substr(at + 1), true};
}

void split_path(std::string_view text, UrlParts& parts) {
  const Halves fragment = cut(text, '#');
  const Halves query = cut(fragment.first, '?');
  parts.path = query.first;
  parts.query = query.second;
  parts.fragment = fragment.second;
}

std::optional<UrlParts> split_url(std::string_view word) {
  const std::size_t scheme = word.find("://");
  if (scheme == 0 || scheme == word.npos ||
      !std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(scheme),
                   is_letter_or_digit))
    return std::nullopt;
  UrlParts parts;
  parts.scheme = lower_case(word.substr(0, scheme));
  word.remove_prefix(scheme + 3);
  const std::size_t end = std::min(word.find_first_of("/?#"), word.size());
  std::string_view authority = word.substr(0, end);
  if (const std::size_t at = authority.rfind('@'); at != authority.npos) {
    parts.userinfo = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  parts.host = authority;
  split_path(word.substr(end), parts);
  return parts;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    result += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return result;
}

}  // namespace strake::dockerfile
