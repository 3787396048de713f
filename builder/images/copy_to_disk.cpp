#include <ctime>

#include "builder/images/copy_image.h"
#include "builder/output/output_file.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/blob_store.h"
#include "layers/image_layout.h"
#include "layers/image_store.h"
#include "layers/layer_store.h"
#include "layers/oci/image_config.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

/// The image as layouts and archives are written from it. Docker's have whole references only.
layers::LayoutImage layout_image(const ImageTree& image, const std::string& name, bool docker) {
  layers::LayoutImage layout;
  layout.root = image.root;
  layout.indexes = image.indexes;
  layout.manifests = image.manifests;
  if (name.empty()) return layout;
  if (docker || name.find_first_of("/:") != std::string::npos)
    layout.references.push_back(oci::parse_reference(name).str());
  else
    layout.tags.push_back(name);
  return layout;
}

layers::BlobStreamer streamer(ImageSource& source) {
  return [&source](const oci::Descriptor& blob, base::ByteSink& to) { source.stream(blob, to); };
}

/// Stores config and layers of one platform. The manifest's bytes are stored by the caller.
layers::PlatformImage store_platform(ImageSource& source,
                                     const oci::Document<oci::Manifest>& manifest,
                                     Machine& machine) {
  oci::require_image(manifest.value);
  base::StringSink json;
  source.stream(manifest.value.config, json);
  const oci::ImageConfig config = oci::parse_image_config(json.text);
  const std::vector<oci::Descriptor>& blobs = manifest.value.layers;
  if (config.diff_ids.size() != blobs.size())
    throw Error(ErrorCode::corrupt, "the manifest has " + std::to_string(blobs.size()) +
                                        " layers, the config " +
                                        std::to_string(config.diff_ids.size()));
  machine.blobs.put(json.text, manifest.value.config.media_type);
  layers::PlatformImage image{config.platform, manifest.value.config, {}, manifest.descriptor};
  image.manifest->platform = config.platform;
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    if (!machine.blobs.contains(blobs[i].digest)) {
      layers::BlobWriter writer = machine.blobs.writer();
      source.stream(blobs[i], writer);
      writer.commit(blobs[i].media_type, &blobs[i]);
    }
    machine.layers.add_blob(config.diff_ids[i], blobs[i]);
    image.layers.push_back(
        machine.layers.find(config.diff_ids[i]).value_or(oci::Layer{config.diff_ids[i], 0}));
  }
  return image;
}

}  // namespace

void copy_to_layout(ImageSource& source, const ImageTree& image, const std::string& path,
                    const std::string& name) {
  layers::write_image_layout(path, layout_image(image, name, false), streamer(source));
}

void copy_to_archive(ImageSource& source, const ImageTree& image, ArchiveKind kind,
                     const std::string& path, const std::string& name) {
  if (kind == ArchiveKind::docker && !image.indexes.empty())
    throw Error(ErrorCode::invalid_input, "a docker-archive cannot hold more than one platform")
        .hint("name the platform with --platform, or use oci-archive:");
  const layers::LayoutImage layout = layout_image(image, name, kind == ArchiveKind::docker);
  OutputFile file(path);
  layers::TarWriter tar(file);
  if (kind == ArchiveKind::docker)
    layers::write_docker_archive(tar, layout, streamer(source));
  else
    layers::write_image_layout_tar(tar, layout, streamer(source));
  tar.finish();
  file.commit();
}

void copy_to_store(ImageSource& source, const ImageTree& image, const oci::Reference& name,
                   Machine& machine) {
  layers::ImageRecord record{.reference = name.str(), .created_seconds = std::time(nullptr)};
  for (const auto& manifest : image.manifests) {
    // Attestations come with the image's bytes; nothing runs on their platform.
    if (!image.indexes.empty() && !manifest.value.layers.empty() &&
        !oci::is_layer(manifest.value.layers.front().media_type))
      continue;
    record.platforms.push_back(store_platform(source, manifest, machine));
    machine.blobs.put(manifest.bytes, manifest.descriptor.media_type);
  }
  if (record.platforms.empty())
    throw Error(ErrorCode::unsupported, base::quoted(name.familiar()) + " has no container image");
  if (!image.indexes.empty()) {
    const auto& index = image.indexes.back();
    machine.blobs.put(index.bytes, index.descriptor.media_type);
    // With manifests that are not stored it could not be pushed again.
    if (record.platforms.size() == image.manifests.size()) record.index = index.descriptor;
  }
  machine.images.put(record);
}

}  // namespace strake::builder
