#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cache/cache_key.h"
#include "layers/base/digest.h"

namespace strake::cache {

using PruneTime = std::chrono::system_clock::time_point;

/// Everything the store holds, with sizes, last uses and references. References to things that are
/// not listed are allowed and mean nothing.
struct Inventory {
  struct Image {
    std::string name;
    std::uint64_t size_bytes = 0;  // of the name's own file
    PruneTime last_used;
    std::vector<base::DiffId> layers;
    std::vector<base::Digest> blobs;  // manifests, configs, compressed layers
    /// Nobody's image, only kept as the base of builds: may go as records do.
    bool only_base = false;
  };
  struct Record {
    CacheKey key;
    std::uint64_t size_bytes = 0;
    PruneTime last_used;
    std::optional<base::DiffId> layer;
  };
  struct Mount {  // the content of a RUN --mount=type=cache
    std::string name;
    std::uint64_t size_bytes = 0;
    PruneTime last_used;
  };
  struct Layer {  // an unpacked tree, or (size 0) just the knowledge of its blobs
    base::DiffId diff_id;
    std::uint64_t size_bytes = 0;
    PruneTime last_used;
    std::vector<base::Digest> blobs;  // its compressed forms
  };
  struct Blob {
    base::Digest digest;
    std::uint64_t size_bytes = 0;
    PruneTime last_used;
  };
  std::vector<Image> images;
  std::vector<Record> records;
  std::vector<Mount> mounts;
  std::vector<Layer> layers;
  std::vector<Blob> blobs;
};

/// What may go at all.
enum class PruneScope {
  dangling,    // layers and blobs that neither a record nor an image leads to
  unused,      // also records, cache mounts and bases, but no record of a layer of a named image
  everything,  // also the named images
};

struct PruneOptions {
  PruneScope scope = PruneScope::dangling;
  /// Only what was not used for this long.
  std::optional<std::chrono::seconds> older_than = {};
  /// Only as much, the least recently used first, as brings the store down to this size.
  std::optional<std::uint64_t> max_bytes = {};
};

/// What to delete, in the order of the members: names before what they name, so that a deletion
/// that is interrupted leaves nothing that points nowhere, and the next prune finds the rest.
struct PrunePlan {
  std::vector<std::string> images;
  std::vector<CacheKey> records;
  std::vector<std::string> mounts;
  std::vector<base::DiffId> layers;
  std::vector<base::Digest> blobs;
  std::uint64_t freed_bytes = 0;
  std::uint64_t kept_bytes = 0;
};

/// Decides what to delete. Pure: the same inventory, options and time give the same plan.
///
/// A layer stays while an image or a record that stays has it, a blob while an image or a layer
/// that stays has it. What loses its last reference goes too, unless `older_than` keeps it. With
/// `max_bytes`, things are taken one by one, least recently used first, each with what only it
/// held, dangling things before all others, until the rest is small enough.
PrunePlan plan_prune(const Inventory& inventory, const PruneOptions& options, PruneTime now);

}  // namespace strake::cache
