#include "cache/prune.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <variant>

namespace strake::cache {
namespace {

/// Counts references and takes things out of the inventory one by one.
class Pruning {
 public:
  Pruning(const Inventory& inventory, const PruneOptions& options, PruneTime now)
      : inventory_(inventory), options_(options), now_(now) {
    count_references();
    count_bytes();
  }

  PrunePlan plan() && {
    drop_dangling();
    if (options_.scope != PruneScope::dangling) drop_holders();
    return std::move(plan_);
  }

 private:
  using Image = Inventory::Image;
  using Record = Inventory::Record;
  using Mount = Inventory::Mount;
  using Holder = std::variant<const Image*, const Record*, const Mount*>;

  struct CountedLayer {
    const Inventory::Layer* layer = nullptr;
    int references = 0;  // of images and records
  };
  struct CountedBlob {
    const Inventory::Blob* blob = nullptr;
    int references = 0;  // of images and layers
  };

  void count_references() {
    for (const auto& layer : inventory_.layers) layers_[layer.diff_id].layer = &layer;
    for (const auto& blob : inventory_.blobs) blobs_[blob.digest].blob = &blob;
    for (const Image& image : inventory_.images) {
      for (const base::DiffId& layer : image.layers) ++layers_[layer].references;
      for (const base::Digest& blob : image.blobs) ++blobs_[blob].references;
      if (!image.only_base) in_named_images_.insert(image.layers.begin(), image.layers.end());
    }
    for (const Record& record : inventory_.records)
      if (record.layer) ++layers_[*record.layer].references;
    for (const auto& layer : inventory_.layers)
      for (const base::Digest& blob : layer.blobs) ++blobs_[blob].references;
  }

  void count_bytes() {
    const auto add = [&](const auto& things) {
      for (const auto& thing : things) plan_.kept_bytes += thing.size_bytes;
    };
    add(inventory_.images);
    add(inventory_.records);
    add(inventory_.mounts);
    add(inventory_.layers);
    add(inventory_.blobs);
  }

  bool small_enough() const {
    return options_.max_bytes && plan_.kept_bytes <= *options_.max_bytes;
  }
  bool old_enough(PruneTime last_used) const {
    return !options_.older_than || now_ - last_used > *options_.older_than;
  }

  void drop_dangling() {
    std::vector<CountedLayer*> layers;
    for (auto& [diff_id, counted] : layers_)
      if (counted.layer != nullptr && counted.references == 0) layers.push_back(&counted);
    std::ranges::stable_sort(layers, {}, [](auto* counted) { return counted->layer->last_used; });
    for (CountedLayer* counted : layers)
      if (!small_enough()) drop_if_unreferenced(*counted);

    std::vector<CountedBlob*> blobs;
    for (auto& [digest, counted] : blobs_)
      if (counted.blob != nullptr && counted.references == 0) blobs.push_back(&counted);
    std::ranges::stable_sort(blobs, {}, [](auto* counted) { return counted->blob->last_used; });
    for (CountedBlob* counted : blobs)
      if (!small_enough()) drop_if_unreferenced(*counted);
  }

  /// What keeps other things, and what keeps and is kept by nothing: least recently used first.
  void drop_holders() {
    using Candidate = std::tuple<PruneTime, std::size_t, Holder>;
    std::vector<Candidate> candidates;
    const auto add = [&](const auto& thing) {
      if (old_enough(thing.last_used))
        candidates.emplace_back(thing.last_used, candidates.size(), &thing);
    };
    // Of the same age: a record before the mount and the image, for it is the cheapest to lose.
    for (const Record& record : inventory_.records)
      if (options_.scope == PruneScope::everything || !is_of_named_image(record)) add(record);
    for (const Mount& mount : inventory_.mounts) add(mount);
    for (const Image& image : inventory_.images)
      if (options_.scope == PruneScope::everything || image.only_base) add(image);

    std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
      return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
    });
    for (const Candidate& candidate : candidates) {
      if (small_enough()) return;
      std::visit([&](const auto* thing) { drop(*thing); }, std::get<2>(candidate));
    }
  }

  bool is_of_named_image(const Record& record) const {
    return record.layer && in_named_images_.contains(*record.layer);
  }

  void drop(const Record& record) {
    plan_.records.push_back(record.key);
    freed(record.size_bytes);
    if (record.layer) release(*record.layer);
  }
  void drop(const Mount& mount) {
    plan_.mounts.push_back(mount.name);
    freed(mount.size_bytes);
  }
  void drop(const Image& image) {
    plan_.images.push_back(image.name);
    freed(image.size_bytes);
    for (const base::DiffId& layer : image.layers) release(layer);
    for (const base::Digest& blob : image.blobs) release(blob);
  }

  void release(const base::DiffId& diff_id) {
    CountedLayer& counted = layers_[diff_id];
    --counted.references;
    drop_if_unreferenced(counted);
  }
  void release(const base::Digest& digest) {
    CountedBlob& counted = blobs_[digest];
    --counted.references;
    drop_if_unreferenced(counted);
  }

  void drop_if_unreferenced(CountedLayer& counted) {
    const auto* layer = counted.layer;
    if (layer == nullptr || counted.references > 0 || !old_enough(layer->last_used)) return;
    counted.layer = nullptr;
    plan_.layers.push_back(layer->diff_id);
    freed(layer->size_bytes);
    for (const base::Digest& blob : layer->blobs) release(blob);
  }
  void drop_if_unreferenced(CountedBlob& counted) {
    const auto* blob = counted.blob;
    if (blob == nullptr || counted.references > 0 || !old_enough(blob->last_used)) return;
    counted.blob = nullptr;
    plan_.blobs.push_back(blob->digest);
    freed(blob->size_bytes);
  }

  void freed(std::uint64_t bytes) {
    plan_.freed_bytes += bytes;
    plan_.kept_bytes -= bytes;
  }

  const Inventory& inventory_;
  const PruneOptions& options_;
  const PruneTime now_;
  std::map<base::DiffId, CountedLayer> layers_;
  std::map<base::Digest, CountedBlob> blobs_;
  std::set<base::DiffId> in_named_images_;
  PrunePlan plan_;
};

}  // namespace

PrunePlan plan_prune(const Inventory& inventory, const PruneOptions& options, PruneTime now) {
  return Pruning(inventory, options, now).plan();
}

}  // namespace strake::cache
