#pragma once

#include <string>
#include <string_view>

#include "layers/archive/limits.h"

namespace strake::layers {

/// The path of a tar entry in the form of TarEntry::path: leading "/" and "./", trailing "/", empty
/// and "." components are taken off; what names the root becomes ".".
///
/// Throws Error(corrupt) for an empty path, a ".." component (unless limits clamp it), a NUL, or
/// one over `limits`.
std::string normalise_entry_path(std::string_view path, const Limits& limits);

/// Is this extended attribute of an entry kept? A well-formed security.capability (VFS capability
/// revision 2 or 3) is, and user.* but what overlayfs would take for its own. All others are not:
/// labels of the machine that packed (security.selinux, security.ima), ACLs, and trusted.*.
bool keep_xattr(std::string_view name, std::string_view value);

}  // namespace strake::layers
