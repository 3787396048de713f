#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "layers/snapshot/copied_roots.h"
#include "layers/snapshot/mount_stack.h"
#include "layers/snapshot/tree_list.h"

namespace strake::layers {

/// A stack of layers as one file system: an overlay (MountStack) where the kernel allows it in this
/// store, else a directory with a copy of everything. Layers must not be removed meanwhile.
///
/// Which one it is makes no difference to what is written in it: take_upper() gives the same tree
/// in overlay form.
class RootTree {
 public:
  /// Throws as MountStack does, but does without an overlay.
  RootTree(const Store& store, const LayerStore& layers,
           std::span<const base::DiffId> bottom_to_top, Writable writable);
  /// A writable one for a command. `mount_points` is a directory that lies below all layers of an
  /// overlay; a copy does without.
  static RootTree for_command(const Store& store, const LayerStore& layers,
                              std::span<const base::DiffId> bottom_to_top,
                              const std::filesystem::path& mount_points);
  /// One that other roots get parts of mounted. An overlay can be written to, and what is written
  /// is thrown away; a copy is shared with others and only to be read.
  static RootTree for_mounts(const Store& store, const LayerStore& layers,
                             std::span<const base::DiffId> bottom_to_top);
  RootTree(RootTree&&) noexcept;
  RootTree& operator=(RootTree&&) noexcept;
  ~RootTree();

  const base::RootedDirectory& root() const noexcept;
  /// The root of a mount (O_PATH) where the kernel lets us have one; else of the directory.
  int fd() const noexcept;
  bool is_copied() const noexcept { return !std::holds_alternative<MountStack>(kind_); }
  /// The upper directory while still mounted (for looking only). A copy has none.
  std::optional<std::filesystem::path> upper() const;

  /// Of these paths (canonical, with or without a leading "/") a copy is to take no notice of a new
  /// ctime alone: it was not the step that touched them, and everything else of them was put back.
  void disregard(std::span<const std::string> paths);

  /// Lets go of the mount and hands over what was written, in overlay form: `path()/"tree"`. To be
  /// called once, and of a writable one. Everything that used the root must have ended. Directories
  /// may be marked opaque that hide nothing of below(): to be read with SealOptions::below.
  base::TempDirectory take_upper();
  /// The trees of the stack, bottom first.
  std::span<const std::filesystem::path> below() const noexcept { return trees_; }

  /// After take_upper(): `layer` is what that has become (nullopt: nothing was written), and a tree
  /// in the store, which is not part of any mount any more then. Lets a copied root be used again;
  /// without it the root is thrown away.
  void settle(const std::optional<base::DiffId>& layer);

 private:
  struct Copy {
    std::shared_ptr<const CopiedRoot> shared;  // of readers
    std::shared_ptr<CopiedRoot> own;           // of the one writer
    base::FileDescriptor mount;                // a detached bind mount, where that can be had
    base::RootedDirectory root;
    TreeList before;
    std::set<std::string, std::less<>> disregarded;
  };

  /// Of an overlay's mount, by another thread.
  class Unmounting;

  struct Kinds {
    Writable overlay, copy;
    const std::filesystem::path* mount_points = nullptr;
  };

  RootTree(const Store& store, const LayerStore& layers,
           std::span<const base::DiffId> bottom_to_top, const Kinds& kinds);
  static Copy copy_of(const Store& store, std::span<const std::filesystem::path> trees,
                      Writable writable);
  static std::variant<MountStack, Copy> make(const Store& store,
                                             std::span<const std::filesystem::path> trees,
                                             const Kinds& kinds);

  const Store* store_;
  const LayerStore* layers_;
  std::vector<std::filesystem::path> trees_;  // bottom first
  std::variant<MountStack, Copy> kind_;
  std::unique_ptr<Unmounting> unmounting_;
};

}  // namespace strake::layers
