#pragma once

#include <optional>
#include <vector>

#include "builder/exec/layer_fetcher.h"
#include "builder/exec/machine.h"
#include "layers/oci/manifest.h"
#include "layers/oci/reference.h"
#include "registry/transfer.h"

namespace strake::builder {

/// How layers that have no blob yet are compressed.
struct BlobOptions {
  oci::Compression compression = oci::Compression::gzip;
  std::optional<int> level;
};

/// The compressed form of `layer` that a manifest names: one that is known already if it has the
/// wanted compression or came with a base image, else made now. A known one need not be in the
/// store.
oci::Descriptor layer_blob(const base::DiffId& layer, const BlobOptions& options, Machine& machine);

/// The blob as something to push: taken from a repository of the same registry if one has it, from
/// the store, or pulled when neither will do.
registry::BlobUpload upload_of(const base::DiffId& layer, const oci::Descriptor& blob,
                               Machine& machine, LayerFetcher& fetcher);

/// Manifest of a config and the blobs of its layers. OCI types; layers from Docker images get the
/// OCI type of the same bytes.
oci::Document<oci::Manifest> manifest_of(const oci::Descriptor& config,
                                         std::vector<oci::Descriptor> layers);

}  // namespace strake::builder
