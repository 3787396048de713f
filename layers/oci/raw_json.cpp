#include "layers/oci/raw_json.h"

#include <cstddef>
#include <nlohmann/json.hpp>

namespace strake::oci {
namespace {

/// `text` without the white space outside of strings.
std::string compacted(std::string_view text) {
  std::string out;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') {
      out += c;
      out += text[++i];
      continue;
    }
    if (c == '"') in_string = !in_string;
    const bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (in_string || !space) out += c;
  }
  return out;
}

/// The end of the string whose opening quote is at `begin`.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  std::size_t i = begin + 1;
  while (text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return i + 1;
}

/// The end of the value at `begin`: the comma or bracket after it.
std::size_t end_of_value(std::string_view text, std::size_t begin) {
  int depth = 0;
  for (std::size_t i = begin;;) {
    const char c = text[i];
    if (c == '"') {
      i = end_of_string(text, i);
      continue;
    }
    if (depth == 0 && (c == ',' || c == '}')) return i;
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    ++i;
  }
}

}  // namespace

std::map<std::string, std::string> raw_members(std::string_view object) {
  const std::string text = compacted(object);
  const std::string_view view = text;
  std::map<std::string, std::string> members;
  std::size_t at = 1;  // after "{"
  while (view[at] == '"') {
    const std::size_t key_end = end_of_string(view, at);
    const std::size_t value = key_end + 1;  // after ":"
    const std::size_t value_end = end_of_value(view, value);
    const auto key = nlohmann::json::parse(view.substr(at, key_end - at)).get<std::string>();
    members.emplace(key, view.substr(value, value_end - value));
    at = view[value_end] == ',' ? value_end + 1 : value_end;
  }
  return members;
}

}  // namespace strake::oci
