#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "layers/oci/descriptor.h"

namespace strake::oci {

/// A parsed document with the exact bytes its digest covers. Bytes that came
/// from elsewhere are pushed again as they came, never re-serialised.
template <typename T>
struct Document {
  std::string bytes;
  Descriptor descriptor;
  T value;
};

/// Spec: manifest.md.
struct Manifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
  std::map<std::string, std::string> annotations = {};
  std::optional<Descriptor> subject = std::nullopt;
  std::string artifact_type = "";
};

/// Spec: image-index.md.
struct Index {
  std::vector<Descriptor> manifests;
  std::map<std::string, std::string> annotations = {};
};

using ManifestOrIndex = std::variant<Manifest, Index>;

/// Parses a manifest or index, OCI or Docker schema 2. `media_type` is what the carrier said
/// (Content-Type or descriptor), "" if it said nothing; a mediaType in the body must agree with it,
/// and a body that could be both is refused. The descriptor's digest is computed from `bytes`.
/// Throws Error(corrupt), also beyond 4 MiB, 4096 layers or 1000 index entries, or
/// Error(unsupported) for schema 1 and unknown types.
Document<ManifestOrIndex> parse_manifest(std::string bytes, std::string_view media_type);

/// Throws Error(unsupported) unless `manifest` is that of a container image: no artifact, and
/// config and layers of types that can be read here (no encrypted layers).
void require_image(const Manifest& manifest);

/// Serialises with 2-space indentation, as BuildKit does. The media type is OCI unless `docker`.
Document<Manifest> make_manifest(Manifest manifest, bool docker = false);
Document<Index> make_index(Index index, bool docker = false);

}  // namespace strake::oci
