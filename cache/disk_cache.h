#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <vector>

#include "cache/layer_cache.h"

namespace strake::cache {

/// Records as files: <directory>/<first two digits>/<key>, the latest key of each slot as a symlink
/// <directory>/slots/<slot>, locks as <locks>/key-<key>. Safe for several processes.
///
/// A hit costs an open, an fstat and a read. Records are not synced: one that a power cut took or
/// tore is a miss, recognised by its checksum, and removed.
class DiskCache final : public LayerCache {
 public:
  /// The directories are made when first written to.
  DiskCache(std::filesystem::path directory, std::filesystem::path locks);

  std::optional<CacheRecord> find(const CacheKey& key) override;
  void store(const CacheKey& key, const CacheRecord& record) override;
  std::optional<CacheRecord> find_latest(const SlotId& slot) override;
  KeyLock lock(const CacheKey& key, const std::stop_token& stop,
               const std::function<void()>& on_wait = {}) override;

  /// A record and what prune wants to know about it.
  struct Stored {
    CacheKey key;
    CacheRecord record;  // without its files
    std::uint64_t size_bytes = 0;
    std::chrono::system_clock::time_point last_used;  // to the day
  };

  /// All records, sorted by key; damaged ones are removed.
  std::vector<Stored> list();

  /// Removes a record; absent is fine. Throws Error.
  void remove(const CacheKey& key);

  /// Removes what interrupted writers left and slots whose record is gone. Only while no other
  /// process writes: with the store's exclusive lock held.
  void remove_leftovers();

 private:
  enum class Purpose { hit, story, listing };
  std::filesystem::path file_of(const CacheKey& key) const;
  std::optional<Stored> load(const CacheKey& key, Purpose purpose);

  std::filesystem::path directory_;
  std::filesystem::path locks_;
};

}  // namespace strake::cache
