#include "builder/exec/layer_blobs.h"

#include "layers/base/error.h"
#include "layers/base/worker_pool.h"
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

/// Two outputs, or two processes, may want the same layer: one stores it, the other finds it.
base::FileLock lock_blob_of(const base::DiffId& layer, Machine& machine) {
  return machine.store.lock("blob-" + layer.digest.hex());
}

}  // namespace

LayerBlobBuilder::LayerBlobBuilder(const BlobOptions& options, Machine& machine)
    : options_(options),
      machine_(machine),
      writer_(machine.blobs.writer()),
      compressor_(layers::make_compressor(options.compression, options.level, writer_,
                                          base::WorkerPool::shared())) {}

void LayerBlobBuilder::commit(const base::DiffId& layer) {
  const base::FileLock lock = lock_blob_of(layer, machine_);
  if (!known_blob(layer, options_, machine_)) store(layer);
}

oci::Descriptor LayerBlobBuilder::store(const base::DiffId& layer) {
  compressor_->finish();
  oci::Descriptor blob = writer_.commit(std::string(oci::layer_media_type(options_.compression)));
  machine_.layers.add_blob(layer, blob);
  return blob;
}

oci::Descriptor layer_blob(const base::DiffId& layer, const BlobOptions& options, Machine& machine,
                           const std::function<void(LayerBlobBuilder&)>& started) {
  if (const auto known = known_blob(layer, options, machine)) return *known;
  const base::FileLock lock = lock_blob_of(layer, machine);
  if (const auto known = known_blob(layer, options, machine)) return *known;
  LayerBlobBuilder builder(options, machine);
  if (started) started(builder);
  machine.layers.write_tar(layer, builder);
  return builder.store(layer);
}

registry::BlobUpload upload_of(const base::DiffId& layer, const oci::Descriptor& blob,
                               Machine& machine, LayerFetcher& fetcher) {
  registry::BlobUpload upload;
  upload.blob = blob;
  for (const layers::KnownBlob& known : machine.layers.blobs(layer))
    if (known.blob.digest == blob.digest) upload.mount_from = known.repositories;
  upload.is_new = upload.mount_from.empty() && machine.blobs.wrote(blob.digest);
  upload.open = [layer, blob, &machine, &fetcher](std::uint64_t offset) {
    fetcher.ensure_blob(layer, blob);
    // The registry verifies what it is sent; what we have just written need not be read for it.
    const bool trusted = offset > 0 || machine.blobs.wrote(blob.digest);
    return trusted ? machine.blobs.open_at(blob, offset) : machine.blobs.open(blob);
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
