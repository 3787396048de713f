#include "builder/dockerfile/run_mount.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>

#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

[[noreturn]] void fail(std::string message) {
  throw Error(ErrorCode::invalid_input, std::move(message));
}

/// The fields of one CSV record. A field may be in double quotes; two of them make one.
std::vector<std::string> split_record(std::string_view text) {
  std::vector<std::string> fields(1);
  for (std::size_t i = 0; i < text.size();) {
    if (fields.back().empty() && text[i] == '"') {
      for (++i;; ++i) {
        if (i >= text.size()) fail("a double quote is never closed in " + excerpt(text));
        if (text[i] != '"') {
          fields.back() += text[i];
        } else if (text.substr(i + 1).starts_with('"')) {
          fields.back() += text[i++];
        } else {
          break;
        }
      }
      if (++i < text.size() && text[i] != ',')
        fail("text behind a closing double quote in " + excerpt(text));
      continue;
    }
    if (text[i] == '"') fail("a double quote inside of a value in " + excerpt(text));
    if (text[i] == ',') {
      fields.emplace_back();
    } else {
      fields.back() += text[i];
    }
    ++i;
  }
  return fields;
}

MountOption parse_option(const std::string& field) {
  const std::size_t equals = field.find('=');
  MountOption option{to_lower(std::string_view(field).substr(0, equals)), std::nullopt};
  if (equals != std::string::npos) option.value = field.substr(equals + 1);
  if (option.key == "src") option.key = "source";
  if (option.key == "dst" || option.key == "destination") option.key = "target";
  if (option.key == "ro") option.key = "readonly";
  if (option.key == "rw") option.key = "readwrite";
  return option;
}

template <typename Enum>
Enum parse_enum(std::string_view what, std::string_view text, std::initializer_list<Enum> all) {
  const std::string lower = to_lower(text);
  std::vector<std::string> names;
  for (const Enum value : all) {
    if (lower == to_string(value)) return value;
    names.emplace_back(to_string(value));
  }
  Error error(ErrorCode::invalid_input, "unsupported " + std::string(what) + " " + excerpt(text));
  const std::string similar = base::nearest(text, names);
  if (!similar.empty()) error.set_hint("write \"" + similar + "\", if that is what you mean");
  throw error;
}

/// Go's strconv.ParseBool; a bare key means true.
bool parse_bool(const MountOption& option, const std::optional<std::string>& value) {
  if (!value) return true;
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (*value == yes) return true;
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
    if (*value == no) return false;
  fail("the mount option \"" + option.key + "\" is either true or false, not " + excerpt(*value));
}

std::uint32_t parse_number(const MountOption& option, std::string_view text, int base) {
  std::uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc() || stop != end)
    fail("invalid value " + excerpt(text) + " for the mount option \"" + option.key + "\"");
  return number;
}

[[noreturn]] void fail_unknown(const MountOption& option) {
  static const std::vector<std::string> kKeys = {
      "type", "from", "source",   "target", "readonly", "readwrite", "id",
      "env",  "size", "required", "mode",   "uid",      "gid",       "sharing"};
  Error error(ErrorCode::invalid_input, "unexpected key " + excerpt(option.key) + " in a mount");
  const std::string similar = base::nearest(option.key, kKeys);
  if (!similar.empty()) error.set_hint("write \"" + similar + "\", if that is what you mean");
  throw error;
}

/// Which types have the option; a type's own defaults are not the user's doing.
bool has_option(MountType type, std::string_view key) {
  const bool is_secret = type == MountType::secret;
  if (key == "env") return is_secret;
  if (key == "required") return is_secret || type == MountType::ssh;
  if (key == "size") return type == MountType::tmpfs;
  if (key == "sharing") return type == MountType::cache;
  if (key == "from") return !is_secret;
  if (key == "mode" || key == "uid" || key == "gid")
    return type == MountType::cache || is_secret || type == MountType::ssh;
  return true;
}

MountType find_type(const RunMount& mount, const WordExpander& expand) {
  MountType type = MountType::bind;
  for (const MountOption& option : mount.options)
    if (option.key == "type" && option.value)
      type = parse_enum(
          "mount type", expand(*option.value),
          {MountType::bind, MountType::cache, MountType::tmpfs, MountType::secret, MountType::ssh});
  return type;
}

void apply_number(Mount& mount, const MountOption& option, const std::string& value) {
  if (option.key == "mode") {
    mount.mode = parse_number(option, value, 8);
    if (*mount.mode > 07777)
      fail("invalid value " + excerpt(value) + " for the mount option \"mode\"");
  } else {
    (option.key == "uid" ? mount.uid : mount.gid) = parse_number(option, value, 10);
  }
}

void apply_option(Mount& mount, const MountOption& option, const WordExpander& expand) {
  const std::string& key = option.key;
  std::optional<std::string> value;
  if (option.value) value = expand(*option.value);
  const bool is_flag = key == "readonly" || key == "readwrite" || key == "required";
  if (is_flag) {
    const bool on = parse_bool(option, value);
    if (key == "required") {
      mount.required = on;
    } else {
      mount.read_only = key == "readonly" ? on : !on;
    }
    return;
  }
  static constexpr std::string_view kTexts[] = {"from", "source", "target", "id", "env"};
  std::string* const texts[] = {&mount.from, &mount.source, &mount.target, &mount.id,
                                &mount.variable};
  const auto text = std::find(std::begin(kTexts), std::end(kTexts), key);
  const bool is_number = key == "mode" || key == "uid" || key == "gid";
  const bool known =
      text != std::end(kTexts) || is_number || key == "type" || key == "size" || key == "sharing";
  if (!known) fail_unknown(option);
  if (!value) fail("the mount option \"" + key + "\" needs a value");

  if (text != std::end(kTexts)) {
    *texts[text - std::begin(kTexts)] = *value;
  } else if (is_number) {
    apply_number(mount, option, *value);
  } else if (key == "size") {
    mount.size_bytes = parse_size(*value);
  } else if (key == "sharing") {
    mount.sharing =
        parse_enum("sharing value", *value,
                   {CacheSharing::shared, CacheSharing::private_, CacheSharing::locked});
  }
}

}  // namespace

std::string_view to_string(MountType type) {
  constexpr std::string_view kNames[] = {"bind", "cache", "tmpfs", "secret", "ssh"};
  return kNames[static_cast<int>(type)];
}

std::string_view to_string(CacheSharing sharing) {
  constexpr std::string_view kNames[] = {"shared", "private", "locked"};
  return kNames[static_cast<int>(sharing)];
}

RunMount parse_run_mount(std::string_view text) {
  RunMount mount{std::string(text), {}, {}};
  for (const std::string& field : split_record(text)) {
    MountOption option = parse_option(field);
    if (option.key == "from" && option.value) {
      // As for `$` at the end of a word: it is just a dollar sign.
      const std::size_t dollar = option.value->find('$');
      if (dollar != std::string::npos && dollar + 1 < option.value->size())
        throw Error(ErrorCode::invalid_input,
                    "\"from\" of a mount does not support variables: " + excerpt(*option.value))
            .hint("define a stage with FROM " + *option.value + " AS <name>, and mount from that");
      mount.from = *option.value;
    }
    mount.options.push_back(std::move(option));
  }
  return mount;
}

Mount resolve_mount(const RunMount& unresolved, const WordExpander& expand) {
  Mount mount;
  mount.type = find_type(unresolved, expand);
  mount.read_only = mount.type != MountType::cache && mount.type != MountType::tmpfs;
  for (const MountOption& option : unresolved.options) {
    apply_option(mount, option, expand);
    if (!has_option(mount.type, option.key))
      fail("unexpected key \"" + option.key + "\" for a mount of type \"" +
           std::string(to_string(mount.type)) + "\"");
  }
  if (mount.type == MountType::secret) {
    if (mount.source.empty() && mount.target.empty() && mount.id.empty() && mount.variable.empty())
      fail("a secret mount needs one of \"id\", \"source\", \"target\" and \"env\"");
    if (!mount.source.empty() && !mount.id.empty())
      fail("a secret mount cannot have both \"source\" and \"id\"");
  }
  return mount;
}

RunDevice parse_run_device(std::string_view text) {
  RunDevice device;
  for (const std::string& field : split_record(text)) {
    // A device's name may hold "=" itself: "nvidia.com/gpu=all".
    const MountOption option = parse_option(field);
    if (option.key == "required") {
      device.required = parse_bool(option, option.value);
      continue;
    }
    if (!device.name.empty()) fail("unexpected " + excerpt(field) + " in a device");
    device.name = option.key == "name" && option.value ? *option.value : field;
  }
  if (device.name.empty()) fail("a device needs a name");
  return device;
}

std::uint64_t parse_size(std::string_view text) {
  const auto bad = [&] { fail("invalid size " + excerpt(text)); };
  std::string lower = to_lower(text);
  std::string_view rest = lower;
  if (rest.ends_with('b')) rest.remove_suffix(1);
  if (rest.ends_with('i')) rest.remove_suffix(1);
  constexpr std::string_view kUnits = "kmgtp";
  double factor = 1;
  if (!rest.empty() && kUnits.find(rest.back()) != std::string_view::npos) {
    factor = std::pow(1024.0, static_cast<double>(kUnits.find(rest.back()) + 1));
    rest.remove_suffix(1);
  }
  if (rest.ends_with(' ')) rest.remove_suffix(1);
  double number = 0;
  const char* end = rest.data() + rest.size();
  const auto [stop, error] = std::from_chars(rest.data(), end, number, std::chars_format::fixed);
  // Below 2^63, so that nobody downstream meets a negative size.
  if (error != std::errc() || stop != end || !(number >= 0) || number * factor >= 0x1p63) bad();
  return static_cast<std::uint64_t>(number * factor);
}

}  // namespace strake::dockerfile
