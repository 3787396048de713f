#pragma once

#include <cstdint>
#include <optional>

#include "layers/archive/limits.h"
#include "layers/base/piece_source.h"
#include "layers/base/stream.h"
#include "layers/base/worker_pool.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

struct ApplyOptions {
  XattrNamespace xattrs = XattrNamespace::trusted;
  /// Overlay form keeps whiteouts (as devices 0:0) and opaque marks, for a tree that is one layer
  /// of a stack. Else the directory is a whole file system and whiteouts remove what is in it.
  bool overlay_form = true;
  /// Who owns everything, instead of whom the tar names (ADD --chown).
  struct Owner {
    std::uint32_t uid, gid;
  };
  std::optional<Owner> owner = std::nullopt;
  Limits limits = {};
  /// Threads that make files beside the calling one. To be given only with overlay_form, and if
  /// `root` is empty.
  base::WorkerPool* helpers = nullptr;
};

struct ApplyResult {
  std::uint64_t entries = 0;
  std::uint64_t content_bytes = 0;
  std::uint64_t dropped_xattrs = 0;   // attributes that layers may not carry
  std::uint64_t dropped_entries = 0;  // sockets, AUFS files, devices 0:0
};

/// Unpacks the tar of one layer into the directory `root` (open for reading; empty, or a directory
/// being assembled).
///
/// The last entry of a path wins; a whiteout hides only what lower layers have, wherever in the tar
/// it stands; missing parents are made (0755, 0:0). Symlinks of the layer are followed inside
/// `root` only. Hard links must name an entry of the same layer that came before. Owners that this
/// process cannot give are recorded (kOwnerXattr). Spec: layer.md, "Applying Changesets".
///
/// Throws Error(corrupt) for a malformed tar or entry, naming it; Error of the system call else.
/// After an error `root` is half filled: throw it away.
ApplyResult apply_layer(base::ByteSource& tar, int root, const ApplyOptions& options);
ApplyResult apply_layer(base::PieceSource& tar, int root, const ApplyOptions& options);

}  // namespace strake::layers
