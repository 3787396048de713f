#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "builder/exec/assemble.h"
#include "builder/exec/build.h"
#include "builder/exec/layer_blobs.h"
#include "builder/exec/layer_fetcher.h"
#include "builder/output/annotations.h"
#include "layers/oci/manifest.h"

namespace strake::builder {

/// The manifests of an image, and the index over them if there are several platforms.
struct ImageDocuments {
  std::vector<oci::Document<oci::Manifest>> manifests;  // in the order of the images
  std::optional<oci::Document<oci::Index>> index;
  std::vector<std::vector<oci::Descriptor>> layers;  // blobs of each image, bottom first

  const oci::Descriptor& root() const {
    return index ? index->descriptor : manifests.front().descriptor;
  }
};

/// Makes manifests (and an index for more than one image, or if asked for), compressing what has no
/// blob yet. Annotations of the index are for an index; there need not be one.
ImageDocuments make_documents(std::span<const AssembledImage> images, const BlobOptions& options,
                              std::span<const Annotation> annotations, bool always_index,
                              Machine& machine);

/// Stores configs (and documents, if there are any) as blobs, and the image under each name;
/// without names under its own id. Names come last.
void store_image(std::span<const AssembledImage> images, const ImageDocuments* documents,
                 std::span<const oci::Reference> names, Machine& machine);

/// Gives `name` this image beside the images of other platforms that the name has already.
void add_platform(const AssembledImage& image, const oci::Reference& name, Machine& machine);

/// Writes an OCI image layout of `made` (`output.directory`: a directory, else a tar), or a
/// docker-archive, which has a manifest of its own: `made` is null then.
void write_layout(const OutputSpec& output, std::span<const AssembledImage> images,
                  std::span<const oci::Reference> names, const ImageDocuments* made,
                  Machine& machine, LayerFetcher& fetcher);

/// Writes the files of the images as a tar or into a directory; several platforms go to
/// sub-directories "linux_amd64".
void write_rootfs(const OutputSpec& output, std::span<const AssembledImage> images,
                  Machine& machine, LayerFetcher& fetcher);

}  // namespace strake::builder
