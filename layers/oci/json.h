#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
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
/// Absent and null give the empty value. Strings with NUL characters are refused.
std::string string_member(const nlohmann::json& object, const char* key);
std::vector<std::string> strings_member(const nlohmann::json& object, const char* key);
std::map<std::string, std::string> string_map_member(const nlohmann::json& object, const char* key);
std::int64_t integer_member(const nlohmann::json& object, const char* key);
bool bool_member(const nlohmann::json& object, const char* key);
/// A size in bytes: must be there, a whole number, and at most 2⁶³ - 1.
std::uint64_t size_member(const nlohmann::json& object, const char* key);

/// Throws Error(corrupt), or Error(unsupported) for a digest that is not SHA-256.
Descriptor parse_descriptor(const nlohmann::json& object);
/// A platform object of an index; missing members are empty. In normal form.
Platform parse_platform_object(const nlohmann::json& object);
/// Members in the order of the reference implementation; empty ones are left out.
nlohmann::ordered_json to_json(const Descriptor& descriptor);

}  // namespace strake::oci
