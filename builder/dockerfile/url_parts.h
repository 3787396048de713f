#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace strake::dockerfile {

/// "scheme://userinfo@host/path?query#fragment", cut up and not judged. Everything but the scheme
/// is as written.
struct UrlParts {
  std::string scheme;  // lower case
  std::string userinfo, host, path;
  std::string query, fragment;
};

/// nullopt if `word` does not begin with letters or digits and "://".
std::optional<UrlParts> split_url(std::string_view word);

/// Sets path, query and fragment from "/path?query#fragment".
void split_path(std::string_view text, UrlParts& parts);

/// nullopt where "%" is not followed by two hex digits.
std::optional<std::string> percent_decoded(std::string_view text);

/// `text` cut at the first `separator`; the second part is "" without one.
struct Halves {
  std::string_view first, second;
  bool cut = false;
};
Halves cut(std::string_view text, char separator);

std::string lower_case(std::string_view text);
bool is_letter_or_digit(char c);

}  // namespace strake::dockerfile
