#pragma once

#include <map>
#include <string>
#include <string_view>

namespace strake::oci {

/// The members of a JSON object as text, without the space between tokens: numbers keep their
/// spelling and objects their order, which a parsed value does not. `object` must be the text of a
/// valid JSON object (parse_json took it). Internal to oci.
std::map<std::string, std::string> raw_members(std::string_view object);

}  // namespace strake::oci
