#pragma once

#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "builder/exec/build.h"
#include "builder/exec/layer_blobs.h"
#include "builder/exec/machine.h"
#include "builder/output/outputs.h"
#include "layers/oci/descriptor.h"
#include "layers/oci/manifest.h"
#include "layers/oci/reference.h"

namespace strake::builder {

/// Fetches the image for `platform` (this machine's, if not given) and unpacks its layers. Returns
/// the descriptor of its manifest. Throws Error.
oci::Descriptor pull_image(const oci::Reference& image,
                           const std::optional<oci::Platform>& platform, PullPolicy policy,
                           Machine& machine, std::stop_token stop);

/// Pushes the local image `source` to `target`: all its platforms, documents that came from
/// elsewhere exactly as they came. Layers without a blob are compressed. Returns the descriptor of
/// what the tag points at. Throws Error(not_found) if there is no such local image.
oci::Descriptor push_image(const oci::Reference& source, const oci::Reference& target,
                           oci::Compression compression, std::optional<int> compression_level,
                           Machine& machine, std::stop_token stop);

/// Pushes the platforms of the local image `source` (only `platform`, if given) to `repository` by
/// their digests; no tag is touched. Returns their manifests, with platforms in the descriptors.
std::vector<oci::Document<oci::Manifest>> push_by_digest(
    const oci::Reference& source, const oci::Repository& repository,
    const std::optional<oci::Platform>& platform, const BlobOptions& options, Machine& machine,
    std::stop_token stop);

/// A local image with its documents.
struct LocalImage {
  std::vector<AssembledImage> images;  // one a platform
  ImageDocuments documents;
};

/// The local image `source`, of one platform if given. Layers without a blob are compressed as
/// `options` say. Throws Error(not_found) if there is no such image.
LocalImage load_local_image(const oci::Reference& source,
                            const std::optional<oci::Platform>& platform,
                            const BlobOptions& options, Machine& machine);

/// Makes an image of one layer from a tar of a root file system (any compression; "-" is stdin).
/// `changes` are metadata instructions of a Dockerfile. Images of other platforms that `name` has
/// are kept. Returns the image id. Throws Error.
base::Digest import_rootfs(const std::string& tar, const oci::Reference& name,
                           const std::optional<oci::Platform>& platform,
                           std::span<const std::string> changes, Machine& machine,
                           std::stop_token stop);

}  // namespace strake::builder
