#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "layers/oci/descriptor.h"

namespace strake::oci {

/// Strict parse of JSON from elsewhere: nesting ≤ 64, strings ≤ 1 MiB, no duplicate keys, no
/// trailing data, no comments, valid UTF-8. `subject` names the document in the Error(corrupt).
nlohmann::json parse_json(std::string_view text, std::string_view subject);

/// Members by type; each throws Error(corrupt) naming `key` when the value has another type.
/// Absent and null give the empty value.
std::string string_member(const nlohmann::json& object, const char* key);
std::vector<std::string> strings_member(const nlohmann::json& object, const char* key);
std::uint64_t size_member(const nlohmann::json& object, const char* key);  // required, not negative

Descriptor parse_descriptor(const nlohmann::json& object);
nlohmann::ordered_json to_json(const Descriptor& descriptor);

}  // namespace strake::oci
