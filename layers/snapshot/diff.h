#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

class ParallelTarWriter;
class TarWriter;

/// Order of the entries of the layers made here: a parent comes before its children, siblings are
/// ordered bytewise, and a whole sub-tree comes before the next sibling ("a", "a/x", "a-b"). Paths
/// have no leading and no trailing "/".
bool path_before(std::string_view a, std::string_view b);

struct DiffOptions {
  XattrNamespace xattrs = XattrNamespace::trusted;
  /// Times later than this (seconds since 1970) become this, in the tar and in the tree itself, so
  /// that the tree gives the same tar again. SOURCE_DATE_EPOCH.
  std::optional<std::int64_t> clamp_mtime = std::nullopt;
  /// Whether the tree is in overlay form. In a plain tree devices 0:0 are left out.
  bool overlay_form = true;
  /// Of an overlay's upper directory: what it lies on, bottom first. Opaque marks that hide nothing
  /// of that are taken off, for a layer must not depend on how its directories were made.
  std::optional<std::span<const std::filesystem::path>> below = std::nullopt;
};

/// Writes the directory `tree` (open for reading) as the tar of a layer; does not finish `tar`.
///
/// Order: path_before, but a directory's opaque mark and whiteouts come before its other entries.
/// The root itself is not written, nor are sockets, overlayfs' own attributes, and attributes that
/// layers do not carry. Of several hard links the first is the file. Times are whole seconds.
/// Memory depends on the largest directory, the depth and the number of hard links only.
/// Spec: layer.md, "Creating Changesets".
///
/// Throws Error(invalid_input) for a name that begins with ".wh.".
void write_tree_as_tar(int tree, TarWriter& tar, const DiffOptions& options);
/// The same bytes, with the files read by several threads: nobody may change the tree before
/// `tar.finish()` returned.
void write_tree_as_tar(int tree, ParallelTarWriter& tar, const DiffOptions& options);

}  // namespace strake::layers
