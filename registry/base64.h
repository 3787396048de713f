#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace strake::registry {

/// Standard alphabet, padded. Spec: RFC 4648, section 4.
std::string base64_encoded(std::string_view bytes);
/// Padding is optional; nullopt for anything that is not base64 (white space included).
std::optional<std::string> base64_decoded(std::string_view text);

}  // namespace strake::registry
