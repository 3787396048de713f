#include "builder/images/image_source.h"

#include <algorithm>
#include <map>

#include "builder/images/streamed_blob.h"
#include "builder/images/tar_files.h"
#include "layers/base/error.h"
#include "layers/blob_store.h"
#include "layers/image_layout.h"
#include "layers/layer_store.h"
#include "registry/client.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

class RegistrySource final : public ImageSource {
 public:
  RegistrySource(registry::Client& client, oci::Reference image, std::stop_token stop)
      : client_(client), image_(std::move(image)), stop_(std::move(stop)) {}

  AnyDocument root() override { return client_.get_manifest(image_, stop_); }
  AnyDocument document(const oci::Descriptor& descriptor) override {
    return client_.get_manifest(image_.repository, descriptor, stop_);
  }
  std::unique_ptr<base::ByteSource> open(const oci::Descriptor& blob) override {
    return std::make_unique<StreamedBlob>([this, blob](base::ByteSink& to, std::stop_token stop) {
      client_.get_blob(image_.repository, blob, to, std::move(stop));
    });
  }
  void stream(const oci::Descriptor& blob, base::ByteSink& to) override {
    client_.get_blob(image_.repository, blob, to, stop_);
  }
  std::vector<oci::Repository> places(const oci::Descriptor&) const override {
    return {image_.repository};
  }
  std::string host() const override { return image_.repository.host; }

 private:
  registry::Client& client_;
  const oci::Reference image_;
  const std::stop_token stop_;
};

Error no_image(const std::string& path, const std::string& name, const oci::Index& index) {
  const std::string what =
      name.empty() ? "not exactly one image" : "no image " + base::quoted(name);
  Error error(ErrorCode::not_found, base::quoted(path) + " has " + what);
  error.set_hint("name one of its " + std::to_string(index.manifests.size()) +
                 " images by its tag or digest, behind a colon");
  return error;
}

class LayoutSource final : public ImageSource {
 public:
  LayoutSource(const std::string& path, std::string name)
      : path_(path), name_(std::move(name)), layout_(base::RootedDirectory::open_host(path)) {}

  AnyDocument root() override {
    const auto entry = layout_.find(name_);
    if (!entry) throw no_image(path_, name_, layout_.index());
    return document(*entry);
  }
  AnyDocument document(const oci::Descriptor& descriptor) override {
    return oci::parse_manifest(layout_.read(descriptor), descriptor.media_type);
  }
  std::unique_ptr<base::ByteSource> open(const oci::Descriptor& blob) override {
    return layout_.open(blob);
  }

 private:
  const std::string path_, name_;
  const layers::ImageLayout layout_;
};

class ArchiveSource final : public ImageSource {
 public:
  ArchiveSource(const std::string& path, std::string name)
      : path_(path), name_(std::move(name)), files_(path) {
    const auto index = files_.open("index.json");
    if (index == nullptr)
      throw Error(ErrorCode::unsupported, base::quoted(path) + " has no index.json")
          .hint("only archives that are OCI layouts too can be read: save it with a current tool");
    auto document =
        oci::parse_manifest(base::read_all(*index, registry::kManifestLimitBytes, "index.json"),
                            oci::media_type::kOciIndex);
    index_ = std::get<oci::Index>(std::move(document.value));
  }

  AnyDocument root() override {
    const auto entry = layers::find_image(index_, name_);
    if (!entry) throw no_image(path_, name_, index_);
    return document(*entry);
  }
  AnyDocument document(const oci::Descriptor& descriptor) override {
    return oci::parse_manifest(
        base::read_all(*open(descriptor), registry::kManifestLimitBytes, "the manifest"),
        descriptor.media_type);
  }
  std::unique_ptr<base::ByteSource> open(const oci::Descriptor& blob) override {
    auto file = files_.open("blobs/sha256/" + blob.digest.hex());
    if (file == nullptr)
      throw Error(ErrorCode::not_found,
                  "blob " + blob.digest.str() + " is not in " + base::quoted(path_));
    return std::make_unique<base::VerifyingSource>(std::move(file), blob.digest, blob.size,
                                                   "blob " + blob.digest.str());
  }

 private:
  const std::string path_, name_;
  const TarFiles files_;
  oci::Index index_;
};

class StoreSource final : public ImageSource {
 public:
  StoreSource(const oci::Reference& image, const BlobOptions& options, Machine& machine,
              std::stop_token stop)
      : machine_(machine),
        fetcher_(machine, std::move(stop)),
        image_(load_local_image(image, std::nullopt, options, machine)) {
    for (std::size_t i = 0; i < image_.images.size(); ++i)
      for (std::size_t j = 0; j < image_.images[i].layers.size(); ++j)
        layers_.emplace(image_.documents.layers[i][j].digest, image_.images[i].layers[j].diff_id);
  }

  AnyDocument root() override { return document(image_.documents.root()); }
  AnyDocument document(const oci::Descriptor& descriptor) override {
    const ImageDocuments& all = image_.documents;
    if (all.index && all.index->descriptor.digest == descriptor.digest)
      return oci::parse_manifest(all.index->bytes, all.index->descriptor.media_type);
    for (const auto& manifest : all.manifests)
      if (manifest.descriptor.digest == descriptor.digest)
        return oci::parse_manifest(manifest.bytes, manifest.descriptor.media_type);
    throw Error(ErrorCode::not_found,
                "manifest " + descriptor.digest.str() + " is not in the store")
        .hint("only some platforms of the image were pulled: copy it from its registry");
  }
  std::unique_ptr<base::ByteSource> open(const oci::Descriptor& blob) override {
    for (const AssembledImage& image : image_.images)
      if (image.config_blob.digest == blob.digest)
        return std::make_unique<base::StringSource>(image.config_json);
    fetcher_.ensure_blob(layer_of(blob), blob);
    return machine_.blobs.open(blob);
  }
  std::vector<oci::Repository> places(const oci::Descriptor& blob) const override {
    const auto layer = layers_.find(blob.digest);
    if (layer == layers_.end()) return {};
    for (const layers::KnownBlob& known : machine_.layers.blobs(layer->second))
      if (known.blob.digest == blob.digest) return known.repositories;
    return {};
  }

 private:
  const base::DiffId& layer_of(const oci::Descriptor& blob) const {
    const auto layer = layers_.find(blob.digest);
    if (layer == layers_.end())
      throw Error(ErrorCode::not_found, "blob " + blob.digest.str() + " is not in the store");
    return layer->second;
  }

  Machine& machine_;
  LayerFetcher fetcher_;
  const LocalImage image_;
  std::map<base::Digest, base::DiffId> layers_;  // of blobs
};

}  // namespace

void ImageSource::stream(const oci::Descriptor& blob, base::ByteSink& to) {
  base::copy(*open(blob), to);
}

std::vector<oci::Repository> ImageSource::places(const oci::Descriptor&) const {
  return {};
}

std::unique_ptr<ImageSource> registry_source(registry::Client& client, oci::Reference image,
                                             std::stop_token stop) {
  return std::make_unique<RegistrySource>(client, std::move(image), std::move(stop));
}
std::unique_ptr<ImageSource> layout_source(const std::string& path, const std::string& name) {
  return std::make_unique<LayoutSource>(path, name);
}
std::unique_ptr<ImageSource> archive_source(const std::string& path, const std::string& name) {
  return std::make_unique<ArchiveSource>(path, name);
}
std::unique_ptr<ImageSource> store_source(const oci::Reference& image, const BlobOptions& options,
                                          Machine& machine, std::stop_token stop) {
  return std::make_unique<StoreSource>(image, options, machine, std::move(stop));
}

}  // namespace strake::builder
