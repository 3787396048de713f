#include "builder/exec/layer_blobs.h"

#include "layers/archive/compression.h"
#include "layers/base/error.h"
#include "layers/base/worker_pool.h"
#include "layers/blob_store.h"
#include "layers/layer_store.h"
#include "layers/store.h"

namespace strake::builder {
namespace {

/// The OCI type of the same bytes; foreign (non-distributable) layers become ordinary ones.
oci::Descriptor with_oci_type(oci::Descriptor blob) {
  if (const auto compression = oci::layer_compression(blob.media_type))
    blob.media_type = oci::layer_media_type(*compression);
  blob.platform.reset();
  return blob;
}

std::optional<oci::Descriptor> known_blob(const base::DiffId& layer, const BlobOptions& options,
                                          Machine& machine) {
  std::optional<oci::Descriptor> pulled;
  for (const layers::KnownBlob& known : machine.layers.blobs(layer)) {
    const bool here = machine.blobs.contains(known.blob.digest);
    if (!here && known.repositories.empty()) continue;
    if (oci::layer_compression(known.blob.media_type) == options.compression)
      return with_oci_type(known.blob);
    // A base image's layer keeps the form it came in: making another would only cost time, and
    // registries that have it would be sent it again.
    if (!known.repositories.empty() && !pulled) pulled = with_oci_type(known.blob);
  }
  return pulled;
}

oci::Descriptor compress(const base::DiffId& layer, const BlobOptions& options, Machine& machine) {
  layers::BlobWriter writer = machine.blobs.writer();
  const auto compressor = layers::make_compressor(options.compression, options.level, writer,
                                                  base::WorkerPool::shared());
  machine.layers.write_tar(layer, *compressor);
  compressor->finish();
  const oci::Descriptor blob =
      writer.commit(std::string(oci::layer_media_type(options.compression)));
  machine.layers.add_blob(layer, blob);
  return blob;
}

}  // namespace

oci::Descriptor layer_blob(const base::DiffId& layer, const BlobOptions& options,
                           Machine& machine) {
  if (const auto known = known_blob(layer, options, machine)) return *known;
  // Two outputs, or two processes, may want the same layer: one compresses, the other finds it.
  const base::FileLock lock = machine.store.lock("blob-" + layer.digest.hex());
  if (const auto known = known_blob(layer, options, machine)) return *known;
  return compress(layer, options, machine);
}

registry::BlobUpload upload_of(const base::DiffId& layer, const oci::Descriptor& blob,
                               Machine& machine, LayerFetcher& fetcher) {
  registry::BlobUpload upload;
  upload.blob = blob;
  for (const layers::KnownBlob& known : machine.layers.blobs(layer))
    if (known.blob.digest == blob.digest) upload.mount_from = known.repositories;
  upload.open = [layer, blob, &machine, &fetcher](std::uint64_t offset) {
    fetcher.ensure_blob(layer, blob);
    return offset == 0 ? machine.blobs.open(blob) : machine.blobs.open_at(blob, offset);
  };
  upload.open_file = [layer, blob, &machine, &fetcher] {
    fetcher.ensure_blob(layer, blob);
    return machine.blobs.open_file(blob);
  };
  return upload;
}

oci::Document<oci::Manifest> manifest_of(const oci::Descriptor& config,
                                         std::vector<oci::Descriptor> layers) {
  oci::Manifest manifest;
  manifest.config = config;
  manifest.layers = std::move(layers);
  return oci::make_manifest(std::move(manifest));
}

}  // namespace strake::builder
