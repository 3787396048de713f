#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "builder/exec/machine.h"
#include "builder/exec/transfer_images.h"
#include "layers/base/stream.h"
#include "layers/oci/manifest.h"
#include "layers/oci/reference.h"

namespace strake::builder {

using AnyDocument = oci::Document<oci::ManifestOrIndex>;

/// Where an image is read from: a registry, an image layout, an archive, the local store. What it
/// hands out is verified against the descriptor that asked for it. Thread-safe.
class ImageSource {
 public:
  virtual ~ImageSource() = default;

  /// What the image's name stands for. Throws Error(not_found).
  virtual AnyDocument root() = 0;
  virtual AnyDocument document(const oci::Descriptor& descriptor) = 0;
  /// The bytes of a blob from their beginning. Throws Error(not_found), here or while reading.
  virtual std::unique_ptr<base::ByteSource> open(const oci::Descriptor& blob) = 0;
  virtual void stream(const oci::Descriptor& blob, base::ByteSink& to);
  /// Repositories that have the blob, likeliest first.
  virtual std::vector<oci::Repository> places(const oci::Descriptor& blob) const;
  /// The registry that blobs are read from, "" if from none.
  virtual std::string host() const { return ""; }
};

std::unique_ptr<ImageSource> registry_source(registry::Client& client, oci::Reference image,
                                             std::stop_token stop);
/// The image `name` (a tag, a whole reference or a digest; "" for the only one) of an OCI image
/// layout in the directory `path`.
std::unique_ptr<ImageSource> layout_source(const std::string& path, const std::string& name);
/// The same of an uncompressed tar: an OCI archive, or a docker-archive that is one too, as strake
/// and docker since version 25 write it. Nothing is unpacked.
std::unique_ptr<ImageSource> archive_source(const std::string& path, const std::string& name);
/// A local image with all its platforms; layers that have no blob yet are compressed. Uses
/// `machine` as long as it lives.
std::unique_ptr<ImageSource> store_source(const oci::Reference& image, const BlobOptions& options,
                                          Machine& machine, std::stop_token stop);

}  // namespace strake::builder
