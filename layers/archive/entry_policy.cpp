#include "layers/archive/entry_policy.h"

#include <endian.h>
#include <linux/capability.h>

#include <algorithm>

#include <cstring>

#include "layers/base/error.h"

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

std::string over_limit(std::string_view what, std::size_t got, std::size_t limit) {
  return std::string(what) + " is too long: got " + std::to_string(got) + " bytes, the limit is " +
         std::to_string(limit);
}

/// The value as the kernel would accept it from setxattr (cap_convert_nscap in
/// security/commoncap.c): revision 2, or 3 with the id of a name space's root.
bool is_well_formed_capability(std::string_view value) {
  std::uint32_t magic_le = 0;
  if (value.size() < sizeof magic_le) return false;
  std::memcpy(&magic_le, value.data(), sizeof magic_le);
  const std::uint32_t magic = le32toh(magic_le);
  if ((magic & ~VFS_CAP_REVISION_MASK & ~VFS_CAP_FLAGS_EFFECTIVE) != 0) return false;
  switch (magic & VFS_CAP_REVISION_MASK) {
    case VFS_CAP_REVISION_2:
      return value.size() == XATTR_CAPS_SZ_2;
    case VFS_CAP_REVISION_3:
      return value.size() == XATTR_CAPS_SZ_3;
    default:
      return false;
  }
}

}  // namespace

std::string normalise_entry_path(std::string_view path, const Limits& limits) {
  if (path.empty()) throw Error(ErrorCode::corrupt, "the tar has an entry without a name");
  if (path.find('\0') != std::string_view::npos)
    throw Error(ErrorCode::corrupt, "the tar has a zero byte in the path " + base::quoted(path));

  std::string result;
  result.reserve(path.size());
  while (!path.empty()) {
    const std::string_view component = path.substr(0, path.find('/'));
    path.remove_prefix(std::min(path.size(), component.size() + 1));
    if (component.empty() || component == ".") continue;
    if (component == ".." && limits.clamp_parent_components) {
      result.resize(result.rfind('/') == std::string::npos ? 0 : result.rfind('/'));
      continue;
    }
    if (component == "..")
      throw Error(ErrorCode::corrupt, "the tar has a path with \"..\", which may leave the layer");
    if (component.size() > limits.path_component_bytes)
      throw Error(ErrorCode::corrupt, over_limit("a file name in the tar", component.size(),
                                                 limits.path_component_bytes));
    if (!result.empty()) result += '/';
    result += component;
  }
  if (result.size() > limits.path_bytes)
    throw Error(ErrorCode::corrupt,
                over_limit("a path in the tar", result.size(), limits.path_bytes));
  if (result.empty()) result = ".";
  return result;
}

bool keep_xattr(std::string_view name, std::string_view value) {
  if (name == "security.capability") return is_well_formed_capability(value);
  // user.overlay.* steers overlay mounts in user namespaces; user.strake.* records owners there.
  return name.starts_with("user.") && name.size() > 5 && !name.starts_with("user.overlay.") &&
         !name.starts_with("user.strake.");
}

}  // namespace strake::layers
