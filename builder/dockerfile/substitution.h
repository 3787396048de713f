#pragma once

#include <string>
#include <string_view>

// The pattern operators of `${v…}`: `*` is any run of characters, `?` any one, both but newlines.
// Brackets are plain characters; a backslash makes the next `*`, `?` or `\` one.

namespace strake::dockerfile {

enum class Trim { shortest, longest };

/// `${v#p}`, `${v##p}`. Like the functions below, throws Error(invalid_input), without a place, for
/// a pattern that escapes any other character or is too long.
std::string remove_prefix(std::string_view value, std::string_view pattern, Trim trim);

/// `${v%p}`, `${v%%p}`.
std::string remove_suffix(std::string_view value, std::string_view pattern, Trim trim);

/// `${v/p/r}`: the first match, as long as possible, becomes `replacement`.
std::string replace_first(std::string_view value, std::string_view pattern,
                          std::string_view replacement);

/// `${v//p/r}`: every match. The result may not exceed `max_bytes`.
std::string replace_all(std::string_view value, std::string_view pattern,
                        std::string_view replacement, std::size_t max_bytes);

}  // namespace strake::dockerfile
