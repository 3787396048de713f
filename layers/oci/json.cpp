#include "layers/oci/json.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "layers/base/error.h"

namespace strake::oci {
namespace {

using base::Error;
using base::ErrorCode;
using nlohmann::json;

constexpr std::size_t kDeepestNesting = 64;
constexpr std::size_t kLongestString = 1 << 20;

/// Builds a value from the parser's events. The library alone would take the last of several equal
/// keys, while other readers of the same bytes may take the first.
class StrictBuilder {
 public:
  explicit StrictBuilder(std::string_view subject) : subject_(subject) {}

  json take() { return std::move(root_); }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(json::number_integer_t value) { return add(value); }
  bool number_unsigned(json::number_unsigned_t value) { return add(value); }
  bool number_float(json::number_float_t value, const std::string&) { return add(value); }
  bool string(std::string& value) {
    check_length(value);
    return add(std::move(value));
  }
  bool binary(json::binary_t&) { return false; }  // not in JSON text

  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(std::string& name) {
    check_length(name);
    if (open_.back()->contains(name))
      fail("has the key " + base::quoted(name.substr(0, 100)) + " twice");
    key_ = std::move(name);
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    fail("is not valid JSON at byte " + std::to_string(position));
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::corrupt, subject_ + " " + what);
  }
  void check_length(const std::string& text) const {
    if (text.size() > kLongestString)
      fail("has a string of more than " + std::to_string(kLongestString) + " bytes");
  }

  json* place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }
  bool add(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json container) {
    if (open_.size() == kDeepestNesting)
      fail("is nested more than " + std::to_string(kDeepestNesting) + " levels deep");
    // Pointers to open containers stay valid: nothing is added to a parent while a child is open.
    open_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  const std::string subject_;
  json root_;
  std::vector<json*> open_;
  std::string key_;
};

[[noreturn]] void fail(const char* key, const std::string& what) {
  throw Error(ErrorCode::corrupt, base::quoted(key) + " " + what);
}

const json* find_member(const json& object, const char* key) {
  if (!object.is_object()) fail(key, "is looked for in a JSON value that is no object");
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const std::string& checked_string(const json& value, const char* key) {
  if (!value.is_string()) fail(key, "is not a string");
  const auto& text = value.get_ref<const std::string&>();
  // No argument, path or name of the system can hold one.
  if (text.find('\0') != std::string::npos) fail(key, "holds a NUL character");
  return text;
}

}  // namespace

json parse_json(std::string_view text, std::string_view subject) {
  // The library skips a byte order mark; the specification of JSON forbids to write one.
  if (text.substr(0, 3) == "\xEF\xBB\xBF")
    throw Error(ErrorCode::corrupt, std::string(subject) + " begins with a byte order mark");
  // To the library a NUL is the end: whatever follows would not be seen.
  if (const std::size_t at = text.find('\0'); at != text.npos)
    throw Error(ErrorCode::corrupt,
                std::string(subject) + " is not valid JSON at byte " + std::to_string(at));
  StrictBuilder builder(subject);
  if (!json::sax_parse(text.begin(), text.end(), &builder))
    throw Error(ErrorCode::corrupt, std::string(subject) + " is not valid JSON");
  return builder.take();
}

std::string string_member(const json& object, const char* key) {
  const json* value = find_member(object, key);
  return value == nullptr ? std::string() : checked_string(*value, key);
}

std::vector<std::string> strings_member(const json& object, const char* key) {
  const json* value = find_member(object, key);
  if (value == nullptr) return {};
  if (!value->is_array()) fail(key, "is not an array");
  std::vector<std::string> strings;
  strings.reserve(value->size());
  for (const json& element : *value) strings.push_back(checked_string(element, key));
  return strings;
}

std::map<std::string, std::string> string_map_member(const json& object, const char* key) {
  const json* value = find_member(object, key);
  if (value == nullptr) return {};
  if (!value->is_object()) fail(key, "is not an object");
  std::map<std::string, std::string> strings;
  for (const auto& [name, element] : value->items()) strings[name] = checked_string(element, key);
  return strings;
}

std::uint64_t size_member(const json& object, const char* key) {
  const json* value = find_member(object, key);
  if (value == nullptr) fail(key, "is missing");
  if (!value->is_number_unsigned()) fail(key, "is not a whole number of bytes");
  const auto size = value->get<std::uint64_t>();
  // What counts bytes elsewhere is signed.
  if (size > static_cast<std::uint64_t>(INT64_MAX)) fail(key, "is too large");
  return size;
}

std::int64_t integer_member(const json& object, const char* key) {
  const json* value = find_member(object, key);
  if (value == nullptr) return 0;
  const bool too_large = value->is_number_unsigned() &&
                         value->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX);
  if (!value->is_number_integer() || too_large) fail(key, "is not a whole number");
  return value->get<std::int64_t>();
}

bool bool_member(const json& object, const char* key) {
  const json* value = find_member(object, key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) fail(key, "is neither true nor false");
  return value->get<bool>();
}

}  // namespace strake::oci
