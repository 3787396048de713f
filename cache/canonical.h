#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "layers/base/digest.h"

namespace strake::cache {

// What is hashed is a sequence of numbers of 8 bytes and of texts behind their length: whatever the
// texts hold, two different sequences have different bytes.

inline void append_number(std::string& out, std::uint64_t number) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (8 * i));
  out.append(bytes, sizeof bytes);
}

inline void append_text(std::string& out, std::string_view text) {
  append_number(out, text.size());
  out += text;
}

/// The first 8 bytes of a digest, where a mistake costs no more than a worse message.
inline std::uint64_t short_digest(const base::Digest& digest) {
  std::uint64_t number = 0;
  for (int i = 0; i < 8; ++i) number |= std::uint64_t{digest.bytes()[i]} << (8 * i);
  return number;
}

}  // namespace strake::cache
