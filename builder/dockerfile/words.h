#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The ways in which the arguments of one instruction are cut into words. Which one applies depends
// on the instruction. Quotes and escapes stay in the words: they are resolved on expansion.

namespace strake::dockerfile {

std::string_view trim(std::string_view text);
std::string_view trim_left(std::string_view text);
std::string to_upper(std::string_view text);  // ASCII
std::string to_lower(std::string_view text);  // ASCII

/// Cuts at runs of blanks (space, tab, and the like): FROM, EXPOSE, COPY, …
std::vector<std::string> split_blanks(std::string_view text);

/// The text before the first run of blanks, and the text behind it; the second is empty when there
/// are no blanks.
std::pair<std::string_view, std::optional<std::string_view>> cut_blanks(std::string_view text);

/// Cuts at white space that is neither quoted nor escaped: ENV, LABEL, ARG.
std::vector<std::string> split_quoted_words(std::string_view text, char escape);

/// Takes the leading `--flags` off `text`, with their quotes and escapes resolved. A lone `--` ends
/// the flags. The escape character is always '\\' here.
std::vector<std::string> take_flags(std::string_view& text);

/// The elements of a JSON array of strings: an exec form. Empty when `text` is not valid JSON or no
/// array, and so a shell form. Throws Error(invalid_input) for an array of other things.
std::optional<std::vector<std::string>> parse_exec_form(std::string_view text);

/// `text` quoted for a message, shortened when long.
std::string excerpt(std::string_view text);

}  // namespace strake::dockerfile
