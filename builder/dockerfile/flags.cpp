#include "builder/dockerfile/flags.h"

#include <algorithm>

#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

bool parse_boolean(std::string_view name, const std::optional<std::string_view>& value) {
  if (!value) return true;
  const std::string lower = to_lower(*value);
  if (lower == "true") return true;
  if (lower == "false") return false;
  if (lower.empty())
    throw Error(ErrorCode::invalid_input, "missing a value on flag --" + std::string(name));
  throw Error(ErrorCode::invalid_input, "the flag --" + std::string(name) +
                                            " is either true or false, not " + excerpt(*value));
}

}  // namespace

FlagSet& FlagSet::text(std::string_view name, std::optional<std::string>& value) {
  known_.emplace_back(name, &value);
  return *this;
}

FlagSet& FlagSet::texts(std::string_view name, std::vector<std::string>& values) {
  known_.emplace_back(name, &values);
  return *this;
}

FlagSet& FlagSet::boolean(std::string_view name, std::optional<bool>& value) {
  known_.emplace_back(name, &value);
  return *this;
}

const FlagSet::Target& FlagSet::find(std::string_view name) const {
  const auto found = std::find_if(known_.begin(), known_.end(),
                                  [&](const auto& flag) { return flag.first == name; });
  if (found != known_.end()) return found->second;
  Error error(ErrorCode::invalid_input, "unknown flag " + excerpt("--" + std::string(name)));
  std::vector<std::string> names;
  for (const auto& flag : known_) names.emplace_back(flag.first);
  const std::string similar = base::nearest(name, names);
  if (!similar.empty()) error.set_hint("write \"--" + similar + "\", if that is what you mean");
  throw error;
}

void FlagSet::parse(const std::vector<std::string>& flags) const {
  for (const std::string& flag : flags) {
    const std::string_view whole = std::string_view(flag).substr(2);  // they all start with "--"
    const std::size_t equals = whole.find('=');
    const std::string_view name = whole.substr(0, equals);
    std::optional<std::string_view> value;
    if (equals != std::string_view::npos) value = whole.substr(equals + 1);

    const Target& target = find(name);
    const auto once = [&](const auto& optional) {
      if (optional.has_value())
        throw Error(ErrorCode::invalid_input,
                    "the flag --" + std::string(name) + " is given more than once");
    };
    if (const auto* boolean = std::get_if<std::optional<bool>*>(&target)) {
      once(**boolean);
      **boolean = parse_boolean(name, value);
      continue;
    }
    if (!value)
      throw Error(ErrorCode::invalid_input, "missing a value on flag --" + std::string(name))
          .hint("write \"--" + std::string(name) + "=<value>\", without a space");
    if (const auto* text = std::get_if<std::optional<std::string>*>(&target)) {
      once(**text);
      **text = *value;
    } else {
      std::get<std::vector<std::string>*>(target)->emplace_back(*value);
    }
  }
}

}  // namespace strake::dockerfile
