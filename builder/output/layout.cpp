#include <map>

#include "builder/output/output_file.h"
#include "builder/output/outputs.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/blob_store.h"
#include "layers/image_layout.h"
#include "layers/layer_store.h"

namespace strake::builder {
namespace {

/// Layers as docker-archives have them: plain tars, whose digest is the DiffID.
ImageDocuments plain_documents(std::span<const AssembledImage> images, Machine& machine,
                               LayerFetcher& fetcher) {
  ImageDocuments documents;
  for (const AssembledImage& image : images) {
    fetcher.ensure_trees(image.config.diff_ids);
    std::vector<oci::Descriptor>& blobs = documents.layers.emplace_back();
    for (const oci::Layer& layer : image.layers) {
      const oci::Layer known = machine.layers.find(layer.diff_id).value_or(layer);
      blobs.push_back(
          {std::string(oci::media_type::kOciLayer), known.diff_id.digest, known.tar_size_bytes});
    }
    documents.manifests.push_back(manifest_of(image.config_blob, blobs));
  }
  return documents;
}

/// Streams any blob of the images: configs from memory, layers from the store.
layers::BlobStreamer streamer(std::span<const AssembledImage> images,
                              const ImageDocuments& documents, Machine& machine,
                              LayerFetcher& fetcher) {
  std::map<base::Digest, base::DiffId> layers_of_blobs;
  for (std::size_t i = 0; i < images.size(); ++i)
    for (std::size_t j = 0; j < images[i].layers.size(); ++j)
      layers_of_blobs.emplace(documents.layers[i][j].digest, images[i].layers[j].diff_id);
  return [images, layers_of_blobs, &machine, &fetcher](const oci::Descriptor& blob,
                                                       base::ByteSink& to) {
    for (const AssembledImage& image : images)
      if (image.config_blob.digest == blob.digest)
        return to.write(base::bytes_of(image.config_json));
    const base::DiffId& layer = layers_of_blobs.at(blob.digest);
    if (blob.digest == layer.digest) return machine.layers.write_tar(layer, to);
    fetcher.ensure_blob(layer, blob);
    base::copy(*machine.blobs.open(blob), to);
  };
}

}  // namespace

void write_layout(const OutputSpec& output, std::span<const AssembledImage> images,
                  std::span<const oci::Reference> names, const ImageDocuments* made,
                  Machine& machine, LayerFetcher& fetcher) {
  const bool docker = output.kind == OutputSpec::Kind::docker;
  if (docker && images.size() > 1)
    throw base::Error(base::ErrorCode::invalid_input,
                      "a docker-archive cannot hold more than one platform")
        .hint("use type=oci, or build for one platform");
  const ImageDocuments documents = docker ? plain_documents(images, machine, fetcher) : *made;
  layers::LayoutImage layout;
  layout.root = documents.root();
  if (documents.index) layout.indexes.push_back(*documents.index);
  layout.manifests = documents.manifests;
  for (const oci::Reference& name : names) layout.references.push_back(name.str());
  const layers::BlobStreamer blobs = streamer(images, documents, machine, fetcher);
  if (output.directory) return layers::write_image_layout(output.dest, layout, blobs);

  OutputFile file(output.dest);
  layers::TarWriter tar(file);
  if (docker) {
    layers::write_docker_archive(tar, layout, blobs);
  } else {
    layers::write_image_layout_tar(tar, layout, blobs);
  }
  tar.finish();
  file.commit();
}

}  // namespace strake::builder
