#include "builder/exec/layout_images.h"

#include "builder/exec/base_images.h"
#include "layers/base/error.h"
#include "layers/blob_store.h"
#include "layers/image_layout.h"
#include "layers/layer_store.h"
#include "layers/oci/manifest.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

/// A location taken apart: "images/app:v1" is the tag v1 of the layout images/app. Directories may
/// have ":" and "@" in their names.
struct Location {
  std::string path, name;
};

Location parse_location(const std::string& text) {
  const std::size_t last = text.find_last_of('/') + 1;  // of the path's components
  if (const std::size_t at = text.find('@', last); at != std::string::npos) {
    Location location = parse_location(text.substr(0, at));
    return {location.path, text.substr(at + 1)};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon < last) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

class LayoutReader {
 public:
  LayoutReader(const std::string& location, const plan::ImageRequest& request, Machine& machine)
      : location_(location),
        request_(request),
        machine_(machine),
        layout_(base::RootedDirectory::open_host(parse_location(location).path)) {}

  plan::ResolvedImage resolve() {
    const std::string name = parse_location(location_).name;
    std::optional<oci::Descriptor> root = layout_.find(name);
    if (!root)
      throw Error(ErrorCode::not_found,
                  "the image layout " + base::quoted(parse_location(location_).path) + " has " +
                      (name.empty() ? "not exactly one image" : "no image " + base::quoted(name)))
          .hint("write oci-layout://PATH:TAG or oci-layout://PATH@DIGEST");
    oci::Document<oci::ManifestOrIndex> document = read(*root);
    if (const auto* index = std::get_if<oci::Index>(&document.value))
      document = read(choose_manifest(*index, request_));
    if (!std::holds_alternative<oci::Manifest>(document.value))
      throw Error(ErrorCode::unsupported, "an index inside an index is not supported");
    return import(document);
  }

 private:
  oci::Document<oci::ManifestOrIndex> read(const oci::Descriptor& descriptor) const {
    return oci::parse_manifest(layout_.read(descriptor), descriptor.media_type);
  }

  plan::ResolvedImage import(const oci::Document<oci::ManifestOrIndex>& document) {
    const auto& manifest = std::get<oci::Manifest>(document.value);
    oci::require_image(manifest);
    const oci::ImageConfig config = oci::parse_image_config(layout_.read(manifest.config));
    if (config.diff_ids.size() != manifest.layers.size())
      throw Error(ErrorCode::corrupt, "the manifest has " + std::to_string(manifest.layers.size()) +
                                          " layers, the config " +
                                          std::to_string(config.diff_ids.size()));
    for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
      if (!machine_.blobs.contains(manifest.layers[i].digest))
        machine_.blobs.put(*layout_.open(manifest.layers[i]), manifest.layers[i].media_type);
      machine_.layers.add_blob(config.diff_ids[i], manifest.layers[i]);
    }
    plan::ResolvedImage resolved{request_.image, config};
    resolved.image.digest = document.descriptor.digest;
    return resolved;
  }

  const std::string& location_;
  const plan::ImageRequest& request_;
  Machine& machine_;
  const layers::ImageLayout layout_;
};

}  // namespace

plan::ResolvedImage resolve_layout_image(const std::string& location,
                                         const plan::ImageRequest& request, Machine& machine) {
  try {
    return LayoutReader(location, request, machine).resolve();
  } catch (Error& error) {
    error.add_context("reading the image layout " + base::quoted(location));
    throw;
  }
}

}  // namespace strake::builder
