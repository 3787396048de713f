#include <chrono>

#include "builder/output/outputs.h"
#include "layers/blob_store.h"
#include "layers/image_store.h"

namespace strake::builder {

ImageDocuments make_documents(std::span<const AssembledImage> images, const BlobOptions& options,
                              Machine& machine) {
  ImageDocuments documents;
  oci::Index index;
  for (const AssembledImage& image : images) {
    std::vector<oci::Descriptor>& blobs = documents.layers.emplace_back();
    for (const oci::Layer& layer : image.layers)
      blobs.push_back(layer_blob(layer.diff_id, options, machine));
    documents.manifests.push_back(manifest_of(image.config_blob, blobs));
    oci::Descriptor child = documents.manifests.back().descriptor;
    child.platform = image.config.platform;
    index.manifests.push_back(std::move(child));
  }
  if (images.size() > 1) documents.index = oci::make_index(std::move(index));
  return documents;
}

void store_image(std::span<const AssembledImage> images, const ImageDocuments* documents,
                 std::span<const oci::Reference> names, Machine& machine) {
  layers::ImageRecord record;
  for (std::size_t i = 0; i < images.size(); ++i) {
    const AssembledImage& image = images[i];
    if (!machine.blobs.contains(image.config_blob.digest))
      machine.blobs.put(image.config_json, image.config_blob.media_type);
    layers::PlatformImage platform{image.config.platform, image.config_blob, image.layers};
    if (documents != nullptr) {
      const auto& manifest = documents->manifests[i];
      machine.blobs.put(manifest.bytes, manifest.descriptor.media_type);
      platform.manifest = manifest.descriptor;
    }
    record.platforms.push_back(std::move(platform));
    const auto created = std::chrono::duration_cast<std::chrono::seconds>(
        image.created.time_since_epoch());
    record.created_seconds = std::max<std::int64_t>(record.created_seconds, created.count());
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
