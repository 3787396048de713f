#pragma once

#include <future>
#include <map>
#include <mutex>
#include <span>
#include <stop_token>
#include <vector>

#include "builder/exec/build.h"
#include "builder/exec/machine.h"
#include "layers/base/digest.h"
#include "layers/oci/descriptor.h"

namespace strake::builder {

/// Makes layers present when something needs them, each once however many ask: unpacked from a blob
/// of the store, or pulled from a registry that has it. Thread-safe.
class LayerFetcher {
 public:
  /// With PullPolicy::never registries are not asked: layers that are not here are not available.
  LayerFetcher(Machine& machine, std::stop_token stop, PullPolicy policy = PullPolicy::missing)
      : machine_(machine), stop_(std::move(stop)), pulls_(policy != PullPolicy::never) {}

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
  void pull(const base::DiffId& layer, const oci::Descriptor& blob);
  void unpack(const base::DiffId& layer, const oci::Descriptor& blob);

  Machine& machine_;
  std::stop_token stop_;
  const bool pulls_;
  std::mutex mutex_;  // guards what follows
  std::map<base::DiffId, std::shared_future<void>> trees_;
};

}  // namespace strake::builder
