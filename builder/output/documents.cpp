#include <chrono>

#include "builder/output/outputs.h"
#include "layers/blob_store.h"
#include "layers/image_store.h"

namespace strake::builder {

namespace {

/// The manifest with its annotations, and those of its descriptor.
oci::Document<oci::Manifest> annotated(oci::Document<oci::Manifest> document,
                                       std::span<const Annotation> annotations,
                                       const oci::Platform& platform) {
  auto own = annotations_at(annotations, AnnotationPlace::manifest, platform);
  if (!own.empty()) {
    document.value.annotations = std::move(own);
    document = oci::make_manifest(std::move(document.value));
  }
  document.descriptor.annotations =
      annotations_at(annotations, AnnotationPlace::manifest_descriptor, platform);
  return document;
}

}  // namespace

ImageDocuments make_documents(std::span<const AssembledImage> images, const BlobOptions& options,
                              std::span<const Annotation> annotations, bool always_index,
                              Machine& machine) {
  ImageDocuments documents;
  oci::Index index;
  for (const AssembledImage& image : images) {
    std::vector<oci::Descriptor>& blobs = documents.layers.emplace_back();
    for (const oci::Layer& layer : image.layers)
      blobs.push_back(layer_blob(layer.diff_id, options, machine));
    documents.manifests.push_back(
        annotated(manifest_of(image.config_blob, blobs), annotations, image.config.platform));
    oci::Descriptor child = documents.manifests.back().descriptor;
    child.platform = image.config.platform;
    index.manifests.push_back(std::move(child));
  }
  if (images.size() == 1 && !always_index) return documents;
  index.annotations = annotations_at(annotations, AnnotationPlace::index);
  documents.index = oci::make_index(std::move(index));
  documents.index->descriptor.annotations =
      annotations_at(annotations, AnnotationPlace::index_descriptor);
  return documents;
}

namespace {

/// What the record of an image says of one platform; its config is stored.
layers::PlatformImage store_platform(const AssembledImage& image, Machine& machine) {
  if (!machine.blobs.contains(image.config_blob.digest))
    machine.blobs.put(image.config_json, image.config_blob.media_type);
  return {image.config.platform, image.config_blob, image.layers};
}

std::int64_t seconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

}  // namespace

void add_platform(const AssembledImage& image, const oci::Reference& name, Machine& machine) {
  layers::ImageRecord record;
  if (auto before = machine.images.find(name.str())) record = std::move(*before);
  record.reference = name.str();
  record.created_seconds = seconds(image.created);
  record.index.reset();
  std::erase_if(record.platforms, [&](const layers::PlatformImage& other) {
    return other.platform == image.config.platform;
  });
  record.platforms.push_back(store_platform(image, machine));
  machine.images.put(record);
}

void store_image(std::span<const AssembledImage> images, const ImageDocuments* documents,
                 std::span<const oci::Reference> names, Machine& machine) {
  layers::ImageRecord record;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const AssembledImage& image = images[i];
    layers::PlatformImage platform = store_platform(image, machine);
    if (documents != nullptr) {
      const auto& manifest = documents->manifests[i];
      machine.blobs.put(manifest.bytes, manifest.descriptor.media_type);
      platform.manifest = manifest.descriptor;
    }
    record.platforms.push_back(std::move(platform));
    record.created_seconds = std::max(record.created_seconds, seconds(image.created));
  }
  if (documents != nullptr && documents->index) {
    machine.blobs.put(documents->index->bytes, documents->index->descriptor.media_type);
    record.index = documents->index->descriptor;
  }
  std::vector<std::string> references;
  for (const oci::Reference& name : names) references.push_back(name.str());
  if (references.empty()) references.push_back(images.front().config_blob.digest.str());
  for (const std::string& reference : references) {
    record.reference = reference;
    const auto before = machine.images.find(reference);
    // A manifest that was made for the same image before is worth keeping.
    if (before && documents == nullptr && before->platforms.size() == record.platforms.size()) {
      bool same = true;
      for (std::size_t i = 0; i < record.platforms.size(); ++i)
        same = same && before->platforms[i].config == record.platforms[i].config;
      if (same) continue;
    }
    machine.images.put(record);
  }
}

}  // namespace strake::builder
