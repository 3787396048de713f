#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"
#include "layers/base/rooted_directory.h"
#include "layers/store.h"

namespace strake::layers {

class LayerStore;

/// The trees of a stack of layers, bottom first, each once: of a layer that occurs several times
/// the uppermost hides the others. Throws Error(not_found) if a layer has no tree.
std::vector<std::filesystem::path> tree_paths(const LayerStore& layers,
                                              std::span<const base::DiffId> bottom_to_top);

/// Whether the union gets a private upper directory.
enum class Writable { no, yes };

/// The union of a stack of layers, and of a private upper directory if it is writable.
///
/// It is an overlay mount attached nowhere: it is reached through its descriptor, and gone when the
/// last descriptor is closed, also by kill -9. Devices in it do not open (NODEV). The sandbox
/// attaches it inside its own mount namespace (move_mount, or a clone made with open_tree).
///
/// The calling process needs CAP_SYS_ADMIN over its mount namespace (its own user namespace will
/// do). Layers must not be removed while they are mounted.
class MountStack {
 public:
  /// No layers (scratch) is fine. Throws Error(unsupported) for more than 500 layers and where the
  /// kernel or the store's file system has no overlayfs for us; Error(not_found) if a layer has no
  /// tree.
  MountStack(const Store& store, const LayerStore& layers,
             std::span<const base::DiffId> bottom_to_top, Writable writable);
  /// The same of directories in overlay form, for trees that are not layers yet.
  MountStack(const Store& store, std::span<const std::filesystem::path> bottom_to_top,
             Writable writable);
  MountStack(MountStack&&) noexcept = default;
  MountStack& operator=(MountStack&&) noexcept = default;

  const base::RootedDirectory& root() const noexcept { return root_; }
  /// The mount: what fsmount or open_tree gave (O_PATH).
  int fd() const noexcept { return root_.fd(); }
  bool writable() const noexcept { return writable_; }

  /// Lets go of the mount and hands over what was written, in overlay form: `path()/"tree"`.
  /// Everything that had the mount attached must have ended.
  base::TempDirectory take_upper() &&;
  /// The same for who lets go of the mount later: that takes a while after a step that made many
  /// files, and what was written can be looked at meanwhile.
  struct Parts {
    base::TempDirectory work;
    base::RootedDirectory mount;
  };
  Parts take_apart() &&;

  /// The upper directory while still mounted (for looking only).
  std::filesystem::path upper() const { return work_.path() / "tree"; }

 private:
  base::FileDescriptor mount(const Store& store,
                             std::span<const std::filesystem::path> bottom_to_top) const;

  base::TempDirectory work_;  // tree/ (the upper directory) and work/; outlives the mount
  bool writable_;
  base::RootedDirectory root_;
};

}  // namespace strake::layers
