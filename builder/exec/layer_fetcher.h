#pragma once

#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <semaphore>
#include <span>
#include <stop_token>
#include <vector>

#include "builder/exec/build.h"
#include "builder/exec/machine.h"
#include "layers/base/digest.h"
#include "layers/base/stream.h"
#include "layers/oci/descriptor.h"
#include "layers/oci/reference.h"

namespace strake::layers {
class PartialBlob;
}

namespace strake::builder {

/// Makes layers present when something needs them, each once however many ask: unpacked from a blob
/// of the store, or pulled from a registry that has it. A blob that is pulled is unpacked while it
/// comes: its tree gets its name when both digests turned out right. Thread-safe.
class LayerFetcher {
 public:
  /// With PullPolicy::never registries are not asked: layers that are not here are not available.
  LayerFetcher(Machine& machine, std::stop_token stop, PullPolicy policy = PullPolicy::missing);

  /// Returns when all `layers` are unpacked. Downloads, decompression and unpacking of different
  /// layers go on at the same time. Throws the first error.
  void ensure_trees(std::span<const base::DiffId> layers);

  /// Returns when the store has a blob of `layer` with exactly this descriptor.
  void ensure_blob(const base::DiffId& layer, const oci::Descriptor& blob);

  /// Whether the layer's content can be had without running its step again: it is unpacked, or a
  /// blob of it is in the store or in a registry.
  bool available(const base::DiffId& layer) const;

 private:
  void fetch_tree(const base::DiffId& layer);
  enum class Also { nothing, unpack };
  bool pull(const base::DiffId& layer, const oci::Descriptor& blob, Also also);
  std::vector<oci::Repository> places_of(const base::DiffId& layer,
                                         const oci::Descriptor& blob) const;
  void download(std::span<const oci::Repository> places, const oci::Descriptor& blob,
                layers::PartialBlob& to);
  void unpack(const base::DiffId& layer, const oci::Descriptor& blob);
  void unpack(const base::DiffId& layer, const oci::Descriptor& blob,
              std::unique_ptr<base::ByteSource> bytes);

  Machine& machine_;
  std::stop_token stop_;
  const bool pulls_;
  std::counting_semaphore<> unpackings_;  // that may be under way: each has its buffers
  std::mutex mutex_;                      // guards what follows
  std::map<base::DiffId, std::shared_future<void>> trees_;
};

}  // namespace strake::builder
