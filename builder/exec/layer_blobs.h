#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "builder/exec/layer_fetcher.h"
#include "builder/exec/machine.h"
#include "layers/archive/compression.h"
#include "layers/base/growing_file.h"
#include "layers/base/stream.h"
#include "layers/blob_store.h"
#include "layers/oci/manifest.h"
#include "layers/oci/reference.h"
#include "registry/transfer.h"

namespace strake::builder {

/// How layers that have no blob yet are compressed.
struct BlobOptions {
  oci::Compression compression = oci::Compression::gzip;
  std::optional<int> level;
};

/// The blob of a layer in the making: takes the layer's tar while it is written and hashed, so that
/// nothing reads the layer again. Dropped without a trace unless committed.
class LayerBlobBuilder final : public base::ByteSink {
 public:
  LayerBlobBuilder(const BlobOptions& options, Machine& machine);

  void write(std::span<const std::byte> bytes) override { compressor_->write(bytes); }

  /// The blob so far, to be uploaded while it is made.
  std::shared_ptr<const base::GrowingFile> growing() { return writer_.growing(); }

  /// What was written is the tar of `layer`: stores the blob and notes it, unless layer_blob() has
  /// one already, which is then kept instead. Call once.
  void commit(const base::DiffId& layer);

 private:
  friend oci::Descriptor layer_blob(const base::DiffId& layer, const BlobOptions& options,
                                    Machine& machine,
                                    const std::function<void(LayerBlobBuilder&)>& started);
  oci::Descriptor store(const base::DiffId& layer);

  const BlobOptions options_;
  Machine& machine_;
  layers::BlobWriter writer_;
  std::unique_ptr<layers::CompressingSink> compressor_;  // writes to writer_
};

/// Starts the blob of a layer that a step is about to seal.
using BlobStarter = std::function<std::unique_ptr<LayerBlobBuilder>()>;

/// The compressed form of `layer` that a manifest names: one that is known already if it has the
/// wanted compression or came with a base image, else made now, which `started` is told of before
/// the first byte. A known one need not be in the store.
oci::Descriptor layer_blob(const base::DiffId& layer, const BlobOptions& options, Machine& machine,
                           const std::function<void(LayerBlobBuilder&)>& started = {});

/// The blob as something to push: taken from a repository of the same registry if one has it, from
/// the store, or pulled when neither will do.
registry::BlobUpload upload_of(const base::DiffId& layer, const oci::Descriptor& blob,
                               Machine& machine, LayerFetcher& fetcher);

/// Manifest of a config and the blobs of its layers. OCI types; layers from Docker images get the
/// OCI type of the same bytes.
oci::Document<oci::Manifest> manifest_of(const oci::Descriptor& config,
                                         std::vector<oci::Descriptor> layers);

}  // namespace strake::builder
