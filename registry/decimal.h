#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

namespace strake::registry {

/// A number as header fields have them: digits and nothing else. nullopt for anything else, and for
/// what does not fit.
inline std::optional<std::uint64_t> parse_decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (text.empty() || error != std::errc() || end != text.end()) return std::nullopt;
  return value;
}

}  // namespace strake::registry
