#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "layers/base/digest.h"
#include "layers/oci/platform.h"

namespace strake::oci {

namespace media_type {
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kOciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerIndex =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view kDockerLayerGzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
}  // namespace media_type

/// Spec: descriptor.md, "Properties". `size` is in bytes.
struct Descriptor {
  std::string media_type;
  base::Digest digest;
  std::uint64_t size = 0;
  std::optional<Platform> platform = std::nullopt;
  std::map<std::string, std::string> annotations = {};
  std::string artifact_type = "";
  auto operator<=>(const Descriptor&) const = default;
};

/// A layer is known by the digest of its tar as soon as that was hashed. Its compressed blobs
/// (one a compression) are other names for it, made off the critical path or pulled.
struct Layer {
  base::DiffId diff_id;
  std::uint64_t tar_size_bytes = 0;
  auto operator<=>(const Layer&) const = default;
};

enum class Compression { none, gzip, zstd };

bool is_index(std::string_view media_type);
bool is_manifest(std::string_view media_type);
bool is_layer(std::string_view media_type);  // a tar layer that can be unpacked, any compression
/// The compression a layer's media type declares; nullopt if it is no layer type known here
/// (non-distributable types count as layers).
std::optional<Compression> layer_compression(std::string_view media_type);
std::string_view layer_media_type(Compression compression);  // the OCI type

}  // namespace strake::oci
