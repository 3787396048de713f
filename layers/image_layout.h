#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/rooted_directory.h"
#include "layers/base/stream.h"
#include "layers/oci/descriptor.h"
#include "layers/oci/manifest.h"

namespace strake::layers {

class TarWriter;

/// Streams a blob to a sink. Called once for each blob that the layout needs.
using BlobStreamer = std::function<void(const oci::Descriptor& blob, base::ByteSink& to)>;

/// An image on its way into a layout: every document with its exact bytes.
struct LayoutImage {
  /// What index.json points at: the index, or the manifest of a single platform.
  oci::Descriptor root;
  std::vector<oci::Document<oci::Index>> indexes;       // `root`'s, if it is an index
  std::vector<oci::Document<oci::Manifest>> manifests;  // with layers and config as blobs
  /// Names, normalised ("docker.io/library/app:1.2"); in index.json as io.containerd.image.name
  /// and, the tag alone, org.opencontainers.image.ref.name. May be empty.
  std::vector<std::string> references;
  /// Names that are a tag alone, org.opencontainers.image.ref.name. May be empty.
  std::vector<std::string> tags = {};
};

/// Adds the image to the OCI image layout in the directory `path`, made if it is not there: blobs,
/// then documents, then index.json (replaced atomically), in which names are taken from the images
/// that had them. Blobs that are there are not streamed again. Spec: image-layout.md.
void write_image_layout(const std::filesystem::path& path, const LayoutImage& image,
                        const BlobStreamer& blobs);

/// The same as a tar, with "oci-layout", "index.json" and blobs; does not finish `tar`.
void write_image_layout_tar(TarWriter& tar, const LayoutImage& image, const BlobStreamer& blobs);

/// A tar that `docker load` and `podman load` take: an OCI layout with Docker's manifest.json
/// beside it, as `docker save` writes it. The image must have exactly one manifest.
void write_docker_archive(TarWriter& tar, const LayoutImage& image, const BlobStreamer& blobs);

/// The entry of an index.json with this name (a tag or a whole reference) or digest; without a name
/// the only entry. nullopt if there is none, or several for no name.
std::optional<oci::Descriptor> find_image(const oci::Index& index, std::string_view name);

/// An OCI image layout on disk, for reading. Content is not trusted: every blob is verified.
class ImageLayout {
 public:
  /// Throws Error(corrupt) if `directory` is no image layout of a known version.
  explicit ImageLayout(base::RootedDirectory directory);

  /// index.json.
  const oci::Index& index() const noexcept { return index_; }
  /// find_image() in index.json.
  std::optional<oci::Descriptor> find(std::string_view name) const {
    return find_image(index_, name);
  }
  /// A verified source. Throws Error(not_found).
  std::unique_ptr<base::ByteSource> open(const oci::Descriptor& blob) const;
  /// A manifest, index or config, whole and verified.
  std::string read(const oci::Descriptor& blob, std::size_t limit_bytes = 8 << 20) const;

 private:
  base::RootedDirectory directory_;
  oci::Index index_;
};

}  // namespace strake::layers
