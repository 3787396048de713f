#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layers/oci/platform.h"

namespace strake::builder {

/// Where an annotation stands. Spec: image-spec annotations.md.
enum class AnnotationPlace {
  manifest,             // in the manifest of an image
  manifest_descriptor,  // in the index, at the entry of a manifest
  index,                // in the index itself
  index_descriptor,     // at the entry of the index in the index.json of a layout
};

struct Annotation {
  AnnotationPlace place = AnnotationPlace::manifest;
  std::optional<oci::Platform> platform;  // of the manifest; nullopt for all
  std::string key, value;
  bool operator==(const Annotation&) const = default;
};

/// "KEY=VALUE", in docker's words for other places "index:KEY=VALUE" or
/// "manifest[linux/amd64],manifest-descriptor:KEY=VALUE"; one without a place is for `otherwise`.
/// Throws Error(invalid_input).
std::vector<Annotation> parse_annotations(std::string_view text, AnnotationPlace otherwise);

/// Those of one place, and for manifests of one platform; a later one replaces an earlier one.
std::map<std::string, std::string> annotations_at(
    std::span<const Annotation> annotations, AnnotationPlace place,
    const std::optional<oci::Platform>& platform = std::nullopt);

}  // namespace strake::builder
