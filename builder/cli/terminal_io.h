#pragma once

#include <string>
#include <string_view>

namespace strake::cli {

/// A result, whole. Throws Error(system) when it cannot be written: a script that waits for it must
/// not take silence for success.
void print(std::string_view text);

/// A message for people, on stderr; lost when nobody listens.
void print_error(std::string_view text) noexcept;

/// All of stdin. Throws Error(invalid_input) beyond `limit_bytes`; `subject` names what was
/// expected.
std::string read_stdin(std::size_t limit_bytes, std::string_view subject);

/// Asks on the terminal. Throws Error(invalid_input) when there is none.
std::string ask(const std::string& question);
/// The same without showing what is typed.
std::string ask_secret(const std::string& question);

}  // namespace strake::cli
