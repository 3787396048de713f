#pragma once

#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "layers/base/fd.h"
#include "layers/base/files.h"

namespace strake::layers {

class Store;

/// A root filesystem that is a directory: the trees of a stack of layers, copied on top of each
/// other.
struct CopiedRoot {
  explicit CopiedRoot(const Store& store);

  std::vector<std::filesystem::path> stack;  // trees, bottom first
  base::TempDirectory work;
  base::FileDescriptor directory;  // work/tree, for reading
};

/// The copied roots of one process, for stores in which no overlay can be mounted. To make one
/// means to copy a whole image, so they are kept and made into what is asked for next: usually the
/// root that a step has changed is what the step after it starts from.
///
/// They lie in the store's ingest/ and go with it. Thread-safe.
class CopiedRoots {
 public:
  /// Whether roots are copies here: overlayfs was tried without success, or is not wanted.
  bool required() const;
  /// From now on roots are copies, and plain directories: nothing is to be mounted.
  void require();
  bool may_mount() const;
  /// To be called when an overlay could not be mounted: whether that is how it is in this store.
  /// Tries the simplest of them, once.
  bool required_in(const Store& store);

  /// A root of exactly `trees` (bottom first) for the caller alone. What becomes of it is told by
  /// put_back(); else it is removed with its last owner.
  std::shared_ptr<CopiedRoot> take(const Store& store,
                                   std::span<const std::filesystem::path> trees);
  /// The same for several readers at once; nobody changes it while one of them has it.
  std::shared_ptr<const CopiedRoot> share(const Store& store,
                                          std::span<const std::filesystem::path> trees);
  /// Offers a root to whoever comes next. It is what its `stack` says.
  void put_back(std::shared_ptr<CopiedRoot> root);

 private:
  enum class Overlay { untried, works, impossible, unwanted };

  std::shared_ptr<CopiedRoot> take_best(std::span<const std::filesystem::path> trees);

  mutable std::mutex mutex_;
  Overlay overlay_ = Overlay::untried;
  std::list<std::shared_ptr<CopiedRoot>> roots_;  // the last used first
};

}  // namespace strake::layers
