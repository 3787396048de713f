#include "layers/snapshot/root_tree.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "layers/base/error.h"
#include "layers/base/ordered_jobs.h"
#include "layers/base/trace.h"
#include "layers/layer_store.h"
#include "layers/snapshot/idle_copies.h"
#include "layers/snapshot/layer_onto_tree.h"
#include "layers/snapshot/tree_changes.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::FileDescriptor;
using base::system_error;

namespace {

FileDescriptor open_directory(const fs::path& path) {
  FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open", path.native());
  return directory;
}

MountStack mount(const Store& store, std::vector<fs::path> trees, Writable writable,
                 const fs::path* mount_points) {
  if (mount_points != nullptr) trees.insert(trees.begin(), *mount_points);
  return MountStack(store, trees, writable);
}

}  // namespace

/// Lets go of an overlay, and removes the directory that only overlayfs needed.
class RootTree::Unmounting {
 public:
  Unmounting(base::RootedDirectory mount, fs::path work) {
    jobs_.next().emplace(Overlay{std::move(mount), std::move(work)});
    jobs_.submit();
  }
  void wait() { jobs_.finish(); }

 private:
  struct Overlay {
    base::RootedDirectory mount;
    fs::path work;
  };
  static void unmount(std::optional<Overlay>& overlay) {
    const base::TraceSpan span("unmount");
    const fs::path work = std::move(overlay->work);
    overlay.reset();
    base::remove_tree(work);
  }
  base::OrderedJobs<std::optional<Overlay>> jobs_{unmount, [](auto&) {}, 1};
};

auto RootTree::make(const Store& store, std::span<const fs::path> trees, const Kinds& kinds)
    -> std::variant<MountStack, Copy> {
  CopiedRoots& copies = store.copied_roots();
  if (!copies.required()) {
    try {
      return mount(store, {trees.begin(), trees.end()}, kinds.overlay, kinds.mount_points);
    } catch (const base::Error& error) {
      if (error.code() != base::ErrorCode::unsupported || !copies.required_in(store)) throw;
    }
  }
  return copy_of(store, trees, kinds.copy);
}

auto RootTree::copy_of(const Store& store, std::span<const fs::path> trees, Writable writable)
    -> Copy {
  std::shared_ptr<const CopiedRoot> shared;
  std::shared_ptr<CopiedRoot> own;
  if (writable == Writable::yes) {
    own = store.copied_roots().take(store, trees);
  } else {
    shared = store.copied_roots().share(store, trees);
  }
  const int directory = own != nullptr ? own->directory.get() : shared->directory.get();
  FileDescriptor mount;
  if (store.copied_roots().may_mount())
    mount = FileDescriptor(
        ::open_tree(directory, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
  FileDescriptor opened(::openat(directory, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!opened) throw system_error(errno, "open", "root filesystem");
  TreeList before = own != nullptr ? TreeList(directory) : TreeList();
  return {std::move(shared), std::move(own),
          std::move(mount),  base::RootedDirectory(std::move(opened)),
          std::move(before), {}};
}

RootTree::RootTree(const Store& store, const LayerStore& layers,
                   std::span<const base::DiffId> bottom_to_top, const Kinds& kinds)
    : store_(&store),
      layers_(&layers),
      trees_(tree_paths(layers, bottom_to_top)),
      kind_(make(store, trees_, kinds)) {}

RootTree::RootTree(const Store& store, const LayerStore& layers,
                   std::span<const base::DiffId> bottom_to_top, Writable writable)
    : RootTree(store, layers, bottom_to_top, Kinds{writable, writable}) {}

RootTree RootTree::for_command(const Store& store, const LayerStore& layers,
                               std::span<const base::DiffId> bottom_to_top,
                               const fs::path& mount_points) {
  const base::TraceSpan span("mount layers");
  return RootTree(store, layers, bottom_to_top, Kinds{Writable::yes, Writable::yes, &mount_points});
}

RootTree RootTree::for_mounts(const Store& store, const LayerStore& layers,
                              std::span<const base::DiffId> bottom_to_top) {
  return RootTree(store, layers, bottom_to_top, Kinds{Writable::yes, Writable::no});
}

RootTree::RootTree(RootTree&&) noexcept = default;
RootTree& RootTree::operator=(RootTree&&) noexcept = default;
RootTree::~RootTree() = default;

const base::RootedDirectory& RootTree::root() const noexcept {
  if (const auto* stack = std::get_if<MountStack>(&kind_)) return stack->root();
  return std::get_if<Copy>(&kind_)->root;
}

int RootTree::fd() const noexcept {
  if (const auto* stack = std::get_if<MountStack>(&kind_)) return stack->fd();
  const auto* copy = std::get_if<Copy>(&kind_);
  return copy->mount ? copy->mount.get() : copy->root.fd();
}

std::optional<fs::path> RootTree::upper() const {
  if (const auto* stack = std::get_if<MountStack>(&kind_)) return stack->upper();
  return std::nullopt;
}

void RootTree::disregard(std::span<const std::string> paths) {
  auto* copy = std::get_if<Copy>(&kind_);
  if (copy == nullptr) return;
  for (const std::string& path : paths)
    copy->disregarded.insert(path.substr(path.starts_with('/') ? 1 : 0));
}

base::TempDirectory RootTree::take_upper() {
  if (auto* stack = std::get_if<MountStack>(&kind_)) {
    auto [work, mount] = std::move(*stack).take_apart();
    unmounting_ = std::make_unique<Unmounting>(std::move(mount), work.path() / "work");
    const base::TraceSpan span("look for idle copies");
    const FileDescriptor upper = open_directory(work.path() / "tree");
    drop_idle_copies(upper.get(), trees_, store_->xattr_namespace());
    return std::move(work);
  }
  auto& copy = std::get<Copy>(kind_);
  copy.mount.reset();
  base::TempDirectory work = store_->make_ingest("upper-");
  const fs::path upper = work.path() / "tree";
  if (::mkdir(upper.c_str(), 0755) != 0 || ::chmod(upper.c_str(), 0755) != 0)
    throw system_error(errno, "create", upper.native());
  const FileDescriptor to = open_directory(upper);
  const int root = copy.own->directory.get();
  const TreeList before = std::move(copy.before);
  const TreeList after(root);
  write_upper(before, after, TreeChanges(before, after, copy.disregarded), root, to.get(),
              store_->xattr_namespace());
  drop_idle_copies(to.get(), trees_, store_->xattr_namespace());
  return work;
}

void RootTree::settle(const std::optional<base::DiffId>& layer) {
  if (unmounting_ != nullptr) unmounting_->wait();
  auto* copy = std::get_if<Copy>(&kind_);
  if (copy == nullptr || copy->own == nullptr) return;
  const std::shared_ptr<CopiedRoot> root = std::move(copy->own);
  if (layer) {
    const FileDescriptor tree = layers_->open_tree(*layer);
    copy_times(tree.get(), root->directory.get(), store_->xattr_namespace());
    root->stack.push_back(layers_->tree_path(*layer));
  }
  store_->copied_roots().put_back(root);
}

}  // namespace strake::layers
