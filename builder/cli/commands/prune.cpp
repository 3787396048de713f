#include "cache/prune.h"

#include <sys/stat.h>

#include "builder/cli/commands/commands.h"
#include "builder/cli/terminal_io.h"
#include "builder/cli/terminal_text.h"
#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

/// A broken transfer goes on where it stopped, if it is asked for again within this time.
constexpr std::chrono::hours kUnfinishedKept{24};

/// The stores, opened for this process alone.
struct ExclusiveStores {
  explicit ExclusiveStores(layers::Store open)
      : store(std::move(open)),
        blobs(store),
        layers(store, blobs),
        images(store),
        cache(store.cache(), store.locks()) {}

  layers::Store store;
  layers::BlobStore blobs;
  layers::LayerStore layers;
  layers::ImageStore images;
  cache::DiskCache cache;
};

cache::PruneTime at(std::int64_t seconds) {
  return cache::PruneTime(std::chrono::seconds(seconds));
}

/// When `path` was last changed; long ago if it is not there.
cache::PruneTime changed(const std::filesystem::path& path) {
  struct stat status {};
  return lstat(path.c_str(), &status) == 0 ? at(status.st_mtim.tv_sec) : at(0);
}

std::vector<base::Digest> known_blobs(const ExclusiveStores& stores, const base::DiffId& layer) {
  std::vector<base::Digest> digests;
  for (const layers::KnownBlob& known : stores.layers.blobs(layer))
    digests.push_back(known.blob.digest);
  return digests;
}

cache::Inventory::Image describe(const ExclusiveStores& stores, const layers::ImageRecord& record) {
  cache::Inventory::Image image{.name = record.reference, .last_used = at(record.created_seconds)};
  if (record.index) image.blobs.push_back(record.index->digest);
  for (const layers::PlatformImage& platform : record.platforms) {
    image.blobs.push_back(platform.config.digest);
    if (platform.manifest) image.blobs.push_back(platform.manifest->digest);
    for (const oci::Layer& layer : platform.layers) {
      image.layers.push_back(layer.diff_id);
      for (const base::Digest& blob : known_blobs(stores, layer.diff_id))
        image.blobs.push_back(blob);
    }
  }
  return image;
}

std::uint64_t tree_bytes(const std::filesystem::path& tree) {
  std::uint64_t bytes = 0;
  const auto add = [&](const std::filesystem::path& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) == 0)
      bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  };
  add(tree);
  std::error_code ignored;  // what vanishes meanwhile has no size
  for (std::filesystem::recursive_directory_iterator entry(tree, ignored), end;
       !ignored && entry != end; entry.increment(ignored))
    add(entry->path());
  return bytes;
}

std::vector<cache::Inventory::Mount> list_mounts(const layers::Store& store) {
  std::vector<cache::Inventory::Mount> mounts;
  std::error_code absent;
  for (std::filesystem::directory_iterator entry(store.mounts(), absent), end;
       !absent && entry != end; entry.increment(absent))
    mounts.push_back({.name = entry->path().filename(),
                      .size_bytes = tree_bytes(entry->path()),
                      .last_used = changed(entry->path())});
  return mounts;
}

cache::Inventory take_inventory(ExclusiveStores& stores) {
  cache::Inventory inventory;
  for (const layers::ImageRecord& record : stores.images.list())
    inventory.images.push_back(describe(stores, record));
  for (const cache::DiskCache::Stored& stored : stores.cache.list())
    inventory.records.push_back({.key = stored.key,
                                 .size_bytes = stored.size_bytes,
                                 .last_used = stored.last_used,
                                 .layer = stored.record.layer
                                              ? std::optional(stored.record.layer->diff_id)
                                              : std::nullopt});
  for (const base::DiffId& layer : stores.layers.list())
    inventory.layers.push_back({.diff_id = layer,
                                .size_bytes = stores.layers.disk_usage(layer),
                                .last_used = changed(stores.layers.tree_path(layer).parent_path()),
                                .blobs = known_blobs(stores, layer)});
  for (const layers::BlobStore::Entry& blob : stores.blobs.list())
    inventory.blobs.push_back({.digest = blob.digest,
                               .size_bytes = blob.size_bytes,
                               .last_used = at(blob.mtime_seconds)});
  inventory.mounts = list_mounts(stores.store);
  return inventory;
}

/// Names first, then what they named: interrupted anywhere, nothing points nowhere.
void carry_out(const cache::PrunePlan& plan, ExclusiveStores& stores, const std::stop_token& stop) {
  const auto each = [&](const auto& things, const auto& remove) {
    for (const auto& thing : things) {
      if (stop.stop_requested()) throw base::Error(base::ErrorCode::cancelled, "cancelled");
      remove(thing);
    }
  };
  each(plan.images, [&](const std::string& name) { stores.images.remove(name); });
  each(plan.records, [&](const cache::CacheKey& key) { stores.cache.remove(key); });
  each(plan.mounts,
       [&](const std::string& name) { base::remove_tree(stores.store.mounts() / name); });
  each(plan.layers, [&](const base::DiffId& layer) { stores.layers.remove(layer); });
  each(plan.blobs, [&](const base::Digest& blob) { stores.blobs.remove(blob); });
  stores.cache.remove_leftovers();
}

/// Returns the bytes they had.
std::uint64_t remove_abandoned(const layers::Store& store, const cache::PruneOptions& options) {
  const bool all = options.scope != cache::PruneScope::dangling;
  const std::chrono::seconds age =
      options.older_than.value_or(all ? std::chrono::seconds(0) : kUnfinishedKept);
  std::uint64_t bytes = 0;
  for (const auto& path : store.abandoned(std::chrono::system_clock::now() - age)) {
    bytes += tree_bytes(path);
    base::remove_tree(path);
  }
  return bytes;
}

std::string count(std::size_t number, const std::string& thing) {
  return std::to_string(number) + " " + thing + (number == 1 ? "" : "s");
}

}  // namespace

void run(const PruneCommand& command, Session& session) {
  std::optional<layers::Store> store = layers::Store::try_open_exclusive(session.root());
  if (!store)
    throw base::Error(
        base::ErrorCode::unavailable,
        "the store " + base::quoted(session.root().native()) + " is in use by another strake")
        .hint("prune when no build is running");
  ExclusiveStores stores(*std::move(store));
  const cache::PrunePlan plan =
      cache::plan_prune(take_inventory(stores), command.options, std::chrono::system_clock::now());
  carry_out(plan, stores, session.stop());
  const std::uint64_t unfinished = remove_abandoned(stores.store, command.options);
  base::log_info("removed " + count(plan.images.size(), "image") + ", " +
                 count(plan.records.size(), "cached step") + ", " +
                 count(plan.mounts.size(), "cache mount") + ", " +
                 count(plan.layers.size(), "layer") + ", " + count(plan.blobs.size(), "blob"));
  print("Total reclaimed space: " +
        format_bytes(static_cast<double>(plan.freed_bytes + unfinished)) + "\n");
}

}  // namespace strake::cli
