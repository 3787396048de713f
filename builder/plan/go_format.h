#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace strake::plan {

// History texts are compared byte for byte with BuildKit's, which prints values with Go's fmt.

/// Go's %q of a string: double quotes, Go escapes; bytes that are not UTF-8 as \xff.
std::string go_quoted(std::string_view text);
/// Go's %q of a number, which it takes for a character: 'A', '\n', '\x03'.
std::string go_quoted_character(char32_t character);
/// Go's %q of a []string: ["a" "b"].
std::string go_quoted(const std::vector<std::string>& words);
/// Go's %v of a []string: [a b].
std::string go_list(const std::vector<std::string>& words);
/// Go's Duration.String(): "1m30s", "1.5s", "0s".
std::string go_duration(long long nanoseconds);

}  // namespace strake::plan
