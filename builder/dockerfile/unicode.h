#pragma once

#include <cstddef>
#include <string>
#include <string_view>

// The few facts about characters that reading a Dockerfile takes. Text is UTF-8, but a byte that is
// not part of valid UTF-8 is kept: it comes out of every function as it went in.

namespace strake::dockerfile {

/// A byte b that is not valid UTF-8 decodes to kInvalidByte + b, above every character.
inline constexpr char32_t kInvalidByte = 0x110000;

struct Decoded {
  char32_t character = 0;
  std::size_t length = 0;  // bytes
};

/// The first character of `text`, which is not empty.
Decoded decode(std::string_view text);

void append_utf8(std::string& out, char32_t character);

bool is_space(char32_t character);  // Unicode White_Space
bool is_digit(char32_t character);
bool is_letter_or_digit(char32_t character);

}  // namespace strake::dockerfile
