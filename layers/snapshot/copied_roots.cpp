#include "layers/snapshot/copied_roots.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/snapshot/layer_onto_tree.h"
#include "layers/snapshot/mount_stack.h"
#include "layers/store.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::FileDescriptor;
using base::system_error;

namespace {

/// Roots that nobody uses, beyond which the one that was not used for longest is removed: each has
/// the size of an image.
constexpr std::size_t kMostIdle = 4;

FileDescriptor open_directory(const fs::path& path) {
  FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open", path.native());
  return directory;
}

/// How many of `trees` the root has already; nullopt if it has others.
std::optional<std::size_t> shared_layers(const CopiedRoot& root, std::span<const fs::path> trees) {
  if (root.stack.size() > trees.size() ||
      !std::equal(root.stack.begin(), root.stack.end(), trees.begin()))
    return std::nullopt;
  return root.stack.size();
}

void add_layers(const Store& store, CopiedRoot& root, std::span<const fs::path> trees) {
  for (std::size_t i = root.stack.size(); i < trees.size(); ++i) {
    const FileDescriptor layer = open_directory(trees[i]);
    put_layer_onto(layer.get(), root.directory.get(), store.xattr_namespace());
    root.stack.push_back(trees[i]);
  }
}

}  // namespace

CopiedRoot::CopiedRoot(const Store& store) : work(store.make_ingest("root-")) {
  const fs::path tree = work.path() / "tree";
  if (::mkdir(tree.c_str(), 0755) != 0 || ::chmod(tree.c_str(), 0755) != 0)
    throw system_error(errno, "create", tree.native());
  directory = open_directory(tree);
}

bool CopiedRoots::required() const {
  const std::lock_guard lock(mutex_);
  return overlay_ == Overlay::impossible || overlay_ == Overlay::unwanted;
}

void CopiedRoots::require() {
  const std::lock_guard lock(mutex_);
  overlay_ = Overlay::unwanted;
}

bool CopiedRoots::may_mount() const {
  const std::lock_guard lock(mutex_);
  return overlay_ != Overlay::unwanted;
}

bool CopiedRoots::required_in(const Store& store) {
  const std::lock_guard lock(mutex_);
  if (overlay_ != Overlay::untried) return overlay_ != Overlay::works;
  try {
    const MountStack trial(store, std::span<const fs::path>(), Writable::yes);
    overlay_ = Overlay::works;
  } catch (const base::Error& error) {
    overlay_ = Overlay::impossible;
    base::log_debug("root filesystems are copied: " + std::string(error.what()));
  }
  return overlay_ == Overlay::impossible;
}

std::shared_ptr<CopiedRoot> CopiedRoots::take(const Store& store, std::span<const fs::path> trees) {
  std::shared_ptr<CopiedRoot> root = take_best(trees);
  if (root == nullptr) root = std::make_shared<CopiedRoot>(store);
  // Whatever happens now, half of a layer is never offered to anybody.
  add_layers(store, *root, trees);
  return root;
}

/// Takes the idle root that has most of `trees` out of the pool; nullptr if none has any.
std::shared_ptr<CopiedRoot> CopiedRoots::take_best(std::span<const fs::path> trees) {
  const std::lock_guard lock(mutex_);
  auto best = roots_.end();
  std::size_t most = 0;
  for (auto root = roots_.begin(); root != roots_.end(); ++root) {
    if (root->use_count() > 1) continue;
    const std::optional<std::size_t> shared = shared_layers(**root, trees);
    if (!shared || *shared < most || (*shared == most && best != roots_.end())) continue;
    best = root;
    most = *shared;
  }
  if (best == roots_.end()) return nullptr;
  std::shared_ptr<CopiedRoot> taken = std::move(*best);
  roots_.erase(best);
  return taken;
}

std::shared_ptr<const CopiedRoot> CopiedRoots::share(const Store& store,
                                                     std::span<const fs::path> trees) {
  {
    const std::lock_guard lock(mutex_);
    const auto same = std::ranges::find_if(
        roots_, [&](const auto& root) { return std::ranges::equal(root->stack, trees); });
    if (same != roots_.end()) return *same;
  }
  std::shared_ptr<CopiedRoot> made = take(store, trees);
  put_back(made);
  return made;
}

void CopiedRoots::put_back(std::shared_ptr<CopiedRoot> root) {
  std::list<std::shared_ptr<CopiedRoot>> surplus;  // removed after the lock is free: it takes time
  const std::lock_guard lock(mutex_);
  roots_.push_front(std::move(root));
  std::size_t idle = 0;
  for (auto next = roots_.begin(); next != roots_.end();) {
    const auto current = next++;
    if (current->use_count() == 1 && ++idle > kMostIdle)
      surplus.splice(surplus.end(), roots_, current);
  }
}

}  // namespace strake::layers
