#pragma once

#include <string>
#include <string_view>

namespace strake::dockerfile {

/// Pure: what a word of ADD or of the command line names. Nothing is looked up.

enum class AddSource { local, http, git };
/// What a source of ADD is, by its form (see parse_git_url): git before http; "github.com/x/y" is
/// a path. Does not throw, also where parse_git_url would.
AddSource classify_add_source(std::string_view word);

enum class ContextKind { directory, stdin_bytes, git, http };
/// What a context operand is by its form: "-" is stdin, and "github.com/x/y" is git. (A directory
/// of that very name goes first: open_context looks.)
ContextKind classify_context(std::string_view word);

/// The name of the file that ADD makes of `url`: the last element of its path, percent-decoded, or
/// "__unnamed__" where there is none that a file can have. Never holds a "/".
std::string url_file_name(std::string_view url);

/// The file name of a Content-Disposition value (RFC 6266, also filename*=UTF-8''…), without any
/// directories; "" if there is none that a file can have.
std::string disposition_file_name(std::string_view value);

/// `url` for messages: without user name, password, query and registered secrets, quoted.
std::string shown_url(std::string_view url);

}  // namespace strake::dockerfile
