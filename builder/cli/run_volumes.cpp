#include "builder/cli/run_volumes.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "builder/cli/output_spec.h"
#include "builder/dockerfile/run_mount.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

using base::Error;
using base::ErrorCode;

// Words of docker that say what holds here anyway, or only matter on other systems.
constexpr std::array<std::string_view, 10> kHarmless{
    "rw",         "private", "rprivate", "cached", "delegated",
    "consistent", "nocopy",  "z",        "Z",      "default"};

Error invalid(std::string_view option, std::string_view text, const std::string& why) {
  return Error(ErrorCode::invalid_input,
               std::string(option) + " " + base::quoted(text) + ": " + why);
}

std::string target_of(std::string_view option, std::string_view text, const std::string& target) {
  if (!target.starts_with('/') || target.find_first_not_of('/') == std::string::npos)
    throw invalid(option, text, "the place in the image has to be an absolute path other than /");
  return target;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = std::min(text.find(at), text.size());
    parts.emplace_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

bool is_path(const std::string& source) {
  return source.starts_with('/') || source == "." || source == ".." || source.starts_with("./") ||
         source.starts_with("../");
}

Error named_volume(std::string_view option, std::string_view text, const std::string& name) {
  return Error(ErrorCode::unsupported,
               std::string(option) + " " + base::quoted(text) + ": named volumes are not supported")
      .hint("for a directory of this machine write its path: ./" + name);
}

mode_t parse_mode(std::string_view option, std::string_view text, const std::string& word) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), mode, 8);
  if (error != std::errc() || end != word.data() + word.size() || mode > 07777)
    throw invalid(option, text, "mode " + base::quoted(word) + " is not octal");
  return mode;
}

bool parse_flag(std::string_view option, std::string_view text, const std::string& value) {
  if (value.empty() || value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  throw invalid(option, text, base::quoted(value) + " is neither true nor false");
}

sandbox::TmpfsMount empty_tmpfs() {
  return {.target = "", .size_bytes = 0, .mode = 01777, .no_exec = true};
}

/// The fields of a --mount; "" for those that are not given.
struct MountFields {
  std::string type = "volume", source, target, size, mode;
  bool read_only = false;
};

MountFields parse_fields(std::string_view text) {
  MountFields fields;
  for (const std::string& field : split_csv(text)) {
    const std::size_t equals = std::min(field.find('='), field.size());
    const std::string key = field.substr(0, equals);
    const std::string value = field.substr(std::min(equals + 1, field.size()));
    if (key == "type")
      fields.type = value;
    else if (key == "source" || key == "src")
      fields.source = value;
    else if (key == "target" || key == "dst" || key == "destination")
      fields.target = value;
    else if (key == "readonly" || key == "ro")
      fields.read_only = parse_flag("--mount", text, value);
    else if (key == "tmpfs-size")
      fields.size = value;
    else if (key == "tmpfs-mode")
      fields.mode = value;
    else if (key == "bind-propagation" && (value == "rprivate" || value == "private"))
      base::log_debug("--mount: mounts are always private");
    else if (key == "consistency")
      base::log_debug("--mount: consistency changes nothing here");
    else
      throw invalid("--mount", text, "field " + base::quoted(field) + " is not supported");
  }
  return fields;
}

}  // namespace

builder::Volume parse_volume(std::string_view text) {
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() == 1) return builder::OwnDirectory{target_of("-v", text, parts[0])};
  if (parts.size() > 3) throw invalid("-v", text, "there is one colon too many");
  const std::string target = target_of("-v", text, parts[1]);
  if (!is_path(parts[0])) {
    if (parts[0].empty()) throw invalid("-v", text, "there is no path of this machine");
    throw named_volume("-v", text, parts[0]);
  }
  builder::HostMount mount{.source = parts[0], .target = target};
  if (parts.size() == 2) return mount;
  for (const std::string& word : split(parts[2], ',')) {
    if (word == "ro")
      mount.read_only = true;
    else if (std::find(kHarmless.begin(), kHarmless.end(), word) == kHarmless.end())
      throw invalid("-v", text, "option " + base::quoted(word) + " is not supported");
  }
  return mount;
}

builder::Volume parse_mount(std::string_view text) {
  const MountFields fields = parse_fields(text);
  const std::string target = target_of("--mount", text, fields.target);
  const bool of_memory = fields.type == "tmpfs";
  if (!of_memory && !(fields.size.empty() && fields.mode.empty()))
    throw invalid("--mount", text, "tmpfs-size and tmpfs-mode are for type=tmpfs");
  if (of_memory) {
    if (!fields.source.empty()) throw invalid("--mount", text, "a tmpfs has no source");
    sandbox::TmpfsMount mount = empty_tmpfs();
    mount.target = target;
    mount.read_only = fields.read_only;
    if (!fields.size.empty()) mount.size_bytes = dockerfile::parse_size(fields.size);
    if (!fields.mode.empty()) mount.mode = parse_mode("--mount", text, fields.mode);
    return mount;
  }
  if (fields.type == "bind") {
    if (fields.source.empty()) throw invalid("--mount", text, "there is no source");
    return builder::HostMount{fields.source, target, fields.read_only};
  }
  if (fields.type != "volume")
    throw invalid("--mount", text, "type " + base::quoted(fields.type) + " is not supported");
  if (!fields.source.empty()) throw named_volume("--mount", text, fields.source);
  if (fields.read_only) throw invalid("--mount", text, "an empty directory that is read-only");
  return builder::OwnDirectory{target};
}

builder::Volume parse_tmpfs(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  sandbox::TmpfsMount mount = empty_tmpfs();
  mount.target = target_of("--tmpfs", text, std::string(text.substr(0, colon)));
  if (colon == text.size()) return mount;
  for (const std::string& word : split(text.substr(colon + 1), ',')) {
    if (word == "ro")
      mount.read_only = true;
    else if (word == "exec" || word == "noexec")
      mount.no_exec = word == "noexec";
    else if (word.starts_with("size="))
      mount.size_bytes = dockerfile::parse_size(word.substr(5));
    else if (word.starts_with("mode="))
      mount.mode = parse_mode("--tmpfs", text, word.substr(5));
    else if (word != "rw" && word != "nosuid" && word != "nodev")
      throw invalid("--tmpfs", text, "option " + base::quoted(word) + " is not supported");
  }
  return mount;
}

std::string parse_variable(std::string_view text, const Environment& environment) {
  const std::string word(text);
  const std::size_t equals = word.find('=');
  if (word.empty() || equals == 0)
    throw Error(ErrorCode::invalid_input, "variable " + base::quoted(word) + " has no name");
  if (equals != std::string::npos) return word;
  const std::optional<std::string> value = environment(word);
  return value ? word + "=" + *value : word;
}

std::vector<std::string> parse_env_file(std::string_view content, const std::string& file,
                                        const Environment& environment) {
  std::vector<std::string> variables;
  int number = 0;
  for (std::string line : split(content, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty() || line.front() == '#') continue;
    const std::string name = line.substr(0, line.find('='));
    if (name.empty() || name.find_first_of(" \t") != std::string::npos)
      throw Error(ErrorCode::invalid_input, base::quoted(file) + ", line " +
                                                std::to_string(number) + ": " + base::quoted(name) +
                                                " is no name of a variable");
    variables.push_back(parse_variable(line, environment));
  }
  return variables;
}

}  // namespace strake::cli
