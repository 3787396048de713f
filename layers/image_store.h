#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/digest.h"
#include "layers/oci/descriptor.h"
#include "layers/store.h"

namespace strake::layers {

/// One platform of a local image.
struct PlatformImage {
  oci::Platform platform;
  oci::Descriptor config;          // its digest is the image id
  std::vector<oci::Layer> layers;  // bottom first
  std::optional<oci::Descriptor> manifest = std::nullopt;
  bool operator==(const PlatformImage&) const = default;
};

/// What a name stands for. Configs, manifests and the index are blobs.
struct ImageRecord {
  std::string reference;             // normalised: "docker.io/library/app:latest"
  std::int64_t created_seconds = 0;  // since 1970
  std::vector<PlatformImage> platforms;
  std::optional<oci::Descriptor> index = std::nullopt;
  bool operator==(const ImageRecord&) const = default;
};

/// Names of local images. Safe for several threads and processes.
class ImageStore {
 public:
  explicit ImageStore(const Store& store) : store_(&store) {}

  /// Gives the name to this image, and takes it from another one. The blobs must be stored before.
  void put(const ImageRecord& image) const;
  /// By normalised reference; nullopt if there is none (or its file was damaged: a warning tells).
  std::optional<ImageRecord> find(std::string_view reference) const;
  /// By the beginning of an image id: hex digits, "sha256:" allowed in front. nullopt if none has
  /// it; throws Error(invalid_input) if several images have it.
  std::optional<ImageRecord> find_by_id(std::string_view id_prefix) const;
  /// All, sorted by reference.
  std::vector<ImageRecord> list() const;
  bool remove(std::string_view reference) const;  // whether there was one

 private:
  const Store* store_;
};

}  // namespace strake::layers
