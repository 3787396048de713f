#pragma once

#include <string_view>

#include "layers/base/recorded_owner.h"

namespace strake::layers {

/// Where overlayfs keeps its marks: `trusted.overlay.*` for the system's root, `user.overlay.*` in
/// user namespaces and where CAP_SYS_ADMIN is missing (mount option userxattr).
enum class XattrNamespace { trusted, user };

/// The name space this process can write: trusted with CAP_SYS_ADMIN in the first user namespace.
XattrNamespace usable_xattr_namespace();

/// The attribute that, with the value "y", makes a directory opaque.
const char* opaque_xattr(XattrNamespace space);

/// Whether an open directory hides what lower trees have at its place.
bool is_opaque(int directory, XattrNamespace space);

/// In the user name space owners may be impossible to set: see base/recorded_owner.h.
using base::kOwnerXattr;

/// Whether a layer may carry the attribute: what keep_xattr (archive/entry_policy.h) allows, but
/// our own kOwnerXattr.
bool is_layer_xattr(std::string_view name, std::string_view value);

}  // namespace strake::layers
