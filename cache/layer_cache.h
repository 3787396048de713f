#pragma once

#include <chrono>
#include <compare>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cache/cache_key.h"
#include "cache/file_manifest.h"
#include "cache/key_lock.h"
#include "layers/base/digest.h"
#include "layers/oci/descriptor.h"

namespace strake::cache {

/// The place of a step: which Dockerfile, platform and position, whatever its content. Chosen by
/// the executor, so that a changed step finds what it was before.
struct SlotId {
  base::Digest digest;
  auto operator<=>(const SlotId&) const = default;
};

/// What a step produced last time, and the named fields its key was made of.
struct CacheRecord {
  std::optional<oci::Layer> layer = {};  // none: the step changed nothing
  std::vector<KeyField> fields = {};
  SlotId slot = {};
  /// What the step does and on what, whatever the files it does it with; none: not kept apart.
  SlotId operation = {};
  std::string title = {};                              // the instruction, for people
  std::chrono::system_clock::time_point created = {};  // whole seconds survive
  std::chrono::milliseconds duration{};                // how long the step took
  std::optional<FileManifest> files = {};              // left out by find()
  bool operator==(const CacheRecord&) const = default;
};

/// Results of steps by key. All members may be called from several threads. Whatever is wrong with
/// a stored record makes it a miss, never an error and never another result.
class LayerCache {
 public:
  virtual ~LayerCache() = default;

  /// The record of `key`, without its `files`, which a hit has no use for.
  virtual std::optional<CacheRecord> find(const CacheKey& key) = 0;

  /// Stores or replaces. The record also becomes the latest one of its slot and operation. Throws
  /// Error when it cannot be written.
  virtual void store(const CacheKey& key, const CacheRecord& record) = 0;

  /// The record stored most recently for the same place or operation, `files` included: what a miss
  /// is explained against, and what a re-run step's result is compared with.
  virtual std::optional<CacheRecord> find_latest(const SlotId& slot) = 0;

  /// Waits for the right to execute the step of `key`. Whoever had to wait looks for the record
  /// again: most likely it is there now. See KeyLock for `stop`, `on_wait` and errors.
  virtual KeyLock lock(const CacheKey& key, const std::stop_token& stop,
                       const std::function<void()>& on_wait) = 0;
};

/// Remembers nothing: --no-cache.
class NoCache final : public LayerCache {
 public:
  std::optional<CacheRecord> find(const CacheKey&) override { return std::nullopt; }
  void store(const CacheKey&, const CacheRecord&) override {}
  std::optional<CacheRecord> find_latest(const SlotId&) override { return std::nullopt; }
  KeyLock lock(const CacheKey&, const std::stop_token&, const std::function<void()>&) override {
    return {};
  }
};

}  // namespace strake::cache
