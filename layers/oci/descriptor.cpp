#include "layers/oci/descriptor.h"

#include <array>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/oci/json.h"

namespace strake::oci {
namespace {

using base::Error;
using base::ErrorCode;
using nlohmann::json;

struct LayerType {
  std::string_view media_type;
  Compression compression;
};

constexpr std::array kLayerTypes = {
    LayerType{media_type::kOciLayer, Compression::none},
    LayerType{media_type::kOciLayerGzip, Compression::gzip},
    LayerType{media_type::kOciLayerZstd, Compression::zstd},
    LayerType{media_type::kDockerLayer, Compression::none},
    LayerType{media_type::kDockerLayerGzip, Compression::gzip},
    LayerType{"application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::zstd},
    // Deprecated types for layers that some registries must not hold.
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar", Compression::none},
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::gzip},
    LayerType{"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Compression::zstd},
    LayerType{"application/vnd.docker.image.rootfs.foreign.diff.tar", Compression::none},
    LayerType{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::gzip},
};

base::Digest digest_member(const json& object) {
  const std::string text = string_member(object, "digest");
  if (text.rfind("sha512:", 0) == 0)
    throw Error(ErrorCode::unsupported, "digests of the algorithm \"sha512\" are not supported");
  try {
    return base::Digest::parse(text);
  } catch (const Error& error) {
    throw Error(ErrorCode::corrupt, error.what());  // nothing the user typed
  }
}

}  // namespace

bool is_index(std::string_view type) {
  return type == media_type::kOciIndex || type == media_type::kDockerIndex;
}

bool is_manifest(std::string_view type) {
  return type == media_type::kOciManifest || type == media_type::kDockerManifest;
}

bool is_layer(std::string_view type) {
  return layer_compression(type).has_value();
}

std::optional<Compression> layer_compression(std::string_view type) {
  for (const LayerType& known : kLayerTypes)
    if (known.media_type == type) return known.compression;
  return std::nullopt;
}

std::string_view layer_media_type(Compression compression) {
  switch (compression) {
    case Compression::none:
      return media_type::kOciLayer;
    case Compression::gzip:
      return media_type::kOciLayerGzip;
    case Compression::zstd:
      return media_type::kOciLayerZstd;
  }
  return media_type::kOciLayer;
}

Platform parse_platform_object(const json& object) {
  return normalized({.os = string_member(object, "os"),
                     .architecture = string_member(object, "architecture"),
                     .variant = string_member(object, "variant"),
                     .os_version = string_member(object, "os.version")});
}

Descriptor parse_descriptor(const json& object) {
  if (!object.is_object()) throw Error(ErrorCode::corrupt, "a descriptor is not a JSON object");
  Descriptor descriptor;
  descriptor.media_type = string_member(object, "mediaType");
  if (descriptor.media_type.empty())
    throw Error(ErrorCode::corrupt, "a descriptor has no \"mediaType\"");
  descriptor.digest = digest_member(object);
  descriptor.size = size_member(object, "size");
  if (const auto platform = object.find("platform");
      platform != object.end() && !platform->is_null())
    descriptor.platform = parse_platform_object(*platform);
  descriptor.annotations = string_map_member(object, "annotations");
  descriptor.artifact_type = string_member(object, "artifactType");
  return descriptor;
}

nlohmann::ordered_json to_json(const Descriptor& descriptor) {
  nlohmann::ordered_json object;
  object["mediaType"] = descriptor.media_type;
  object["digest"] = descriptor.digest.str();
  object["size"] = descriptor.size;
  if (!descriptor.annotations.empty()) object["annotations"] = descriptor.annotations;
  if (descriptor.platform) {
    nlohmann::ordered_json& platform = object["platform"];
    platform["architecture"] = descriptor.platform->architecture;
    platform["os"] = descriptor.platform->os;
    if (!descriptor.platform->os_version.empty())
      platform["os.version"] = descriptor.platform->os_version;
    if (!descriptor.platform->variant.empty()) platform["variant"] = descriptor.platform->variant;
  }
  if (!descriptor.artifact_type.empty()) object["artifactType"] = descriptor.artifact_type;
  return object;
}

}  // namespace strake::oci
