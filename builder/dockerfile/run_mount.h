#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strake::dockerfile {

/// Expands the variables of one word.
using WordExpander = std::function<std::string(std::string_view)>;

enum class MountType { bind, cache, tmpfs, secret, ssh };
enum class CacheSharing { shared, private_, locked };

std::string_view to_string(MountType type);
std::string_view to_string(CacheSharing sharing);

/// One `key=value` of a --mount; no value: a bare `key`.
struct MountOption {
  std::string key;  // lower case
  std::optional<std::string> value;

  bool operator==(const MountOption&) const = default;
};

/// `RUN --mount=…` as written: options split, nothing expanded. Only `from` is known this early,
/// because it decides which stages are needed; it cannot hold variables.
struct RunMount {
  std::string text;  // "type=cache,target=/root/.cache"
  std::vector<MountOption> options;
  std::string from;

  bool operator==(const RunMount&) const = default;
};

/// A --mount after expansion: what it asks for, checked against its type. Which defaults apply to
/// absent values (target of a secret, id of a cache) is left to the planner.
struct Mount {
  MountType type = MountType::bind;
  std::string from, source, target;
  std::string id;        // cache, secret, ssh
  std::string variable;  // secret: env=NAME
  bool read_only = true;
  bool required = false;  // secret, ssh
  CacheSharing sharing = CacheSharing::shared;
  std::optional<std::uint32_t> mode, uid, gid;  // cache, secret, ssh
  std::uint64_t size_bytes = 0;                 // tmpfs; 0: no limit

  bool operator==(const Mount&) const = default;
};

/// `RUN --device=name[,required]`; the name is not expanded yet.
struct RunDevice {
  std::string name;
  bool required = false;

  bool operator==(const RunDevice&) const = default;
};

/// Splits the comma-separated options (RFC 4180 quoting). Throws Error(invalid_input), without a
/// place, for broken quoting or a variable in `from`.
RunMount parse_run_mount(std::string_view text);

/// Expands each value and checks the whole. Throws Error(invalid_input), without a place, for an
/// unknown key or type, a bad value, or a key that the type does not have.
Mount resolve_mount(const RunMount& mount, const WordExpander& expand);

RunDevice parse_run_device(std::string_view text);

/// "64m", "1.5GiB", "512": bytes, with suffixes of 1024. Throws Error(invalid_input).
std::uint64_t parse_size(std::string_view text);

}  // namespace strake::dockerfile
