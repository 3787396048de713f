#include "builder/images/copy_image.h"

#include <algorithm>
#include <set>

#include "layers/base/error.h"
#include "registry/client.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

constexpr int kDeepestReferrer = 4;  // a signature of a signature of an SBOM
constexpr int kParallel = 6;
/// Of a copy within one registry: each blob takes two of its streams, and all of its streams must
/// not be taken by uploads that wait for their downloads.
constexpr int kParallelWithin = 2;

/// The bytes of `blob` from `offset` on.
std::unique_ptr<base::ByteSource> open_at(ImageSource& source, const oci::Descriptor& blob,
                                          std::uint64_t offset) {
  auto bytes = source.open(blob);
  std::vector<std::byte> skipped(
      static_cast<std::size_t>(std::min<std::uint64_t>(offset, base::kStreamBufferBytes)));
  while (offset > 0) {
    const auto piece = std::span(skipped).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(offset, skipped.size())));
    const std::size_t count = bytes->read(piece);
    if (count == 0) throw Error(ErrorCode::corrupt, "blob " + blob.digest.str() + " ends early");
    offset -= count;
  }
  return bytes;
}

bool has_manifest(registry::Client& client, const oci::Repository& repository,
                  const oci::Descriptor& manifest, const std::stop_token& stop) {
  try {
    const oci::Reference name{repository, std::nullopt, manifest.digest};
    return client.resolve(name, stop, registry::Mirrors::passed_by).digest == manifest.digest;
  } catch (const Error& error) {
    // Some registries answer 403 for what a token may not read although it may be written.
    if (error.code() != ErrorCode::not_found && error.code() != ErrorCode::denied) throw;
    return false;
  }
}

void push_blobs(ImageSource& source, std::span<const oci::Document<oci::Manifest>> manifests,
                registry::Client& client, const oci::Repository& to, const CopyOptions& options) {
  registry::BlobUploader uploader(
      client, to,
      {.parallel = source.host() == to.host ? kParallelWithin : kParallel,
       .progress = options.progress,
       .stop = options.stop});
  const auto push = [&](const oci::Descriptor& blob) {
    uploader.enqueue(
        {.blob = blob,
         .open = [&source, blob](std::uint64_t offset) { return open_at(source, blob, offset); },
         .mount_from = source.places(blob)});
  };
  for (const auto& manifest : manifests) {
    for (const oci::Descriptor& layer : manifest.value.layers)
      if (!is_foreign(layer)) push(layer);
    push(manifest.value.config);
  }
  uploader.wait_all();
}

/// Copies the referrers of one repository to another.
class ReferrerCopier {
 public:
  ReferrerCopier(const oci::Repository& from, registry::Client& client, const oci::Repository& to,
                 const CopyOptions& options)
      : from_(from), client_(client), to_(to), options_(options) {}

  void copy_all(const ImageTree& image, int depth) {
    for (const auto& manifest : image.manifests) copy_of(manifest.descriptor, depth);
    for (const auto& index : image.indexes) copy_of(index.descriptor, depth);
  }

 private:
  void copy_of(const oci::Descriptor& subject, int depth) {
    if (depth == kDeepestReferrer || !seen_.insert(subject.digest).second) return;
    for (const oci::Descriptor& referrer :
         client_.list_referrers(from_, subject.digest, "", options_.stop)) {
      const oci::Reference name{from_, std::nullopt, referrer.digest};
      const auto source = registry_source(client_, name, options_.stop);
      const ImageTree tree = read_image(*source, {});
      copy_to_registry(*source, tree, client_, {to_, std::nullopt, std::nullopt}, options_);
      copy_all(tree, depth + 1);
    }
  }

  const oci::Repository& from_;
  registry::Client& client_;
  const oci::Repository& to_;
  const CopyOptions& options_;
  std::set<base::Digest> seen_;
};

}  // namespace

void copy_to_registry(ImageSource& source, const ImageTree& image, registry::Client& client,
                      const oci::Reference& to, const CopyOptions& options) {
  const oci::Repository& repository = to.repository;
  if (to.digest && *to.digest != image.root.digest)
    throw Error(ErrorCode::invalid_input, "cannot copy to " + base::quoted(to.familiar()) +
                                              ": the image's digest is " + image.root.digest.str());
  const auto is_missing = [&](const oci::Descriptor& document) {
    return !has_manifest(client, repository, document, options.stop);
  };
  std::vector<oci::Document<oci::Manifest>> manifests;
  const bool complete = !image.indexes.empty() && !is_missing(image.root);
  if (!complete)
    std::ranges::copy_if(image.manifests, std::back_inserter(manifests),
                         [&](const auto& manifest) { return is_missing(manifest.descriptor); });
  if (!manifests.empty()) push_blobs(source, manifests, client, repository, options);
  for (const auto& manifest : manifests) client.push_referrer(repository, manifest, options.stop);
  if (!complete)
    for (const auto& index : image.indexes)
      client.put_manifest({repository, std::nullopt, index.descriptor.digest}, index.bytes,
                          index.descriptor.media_type, options.stop);
  if (to.tag)
    client.put_manifest({repository, to.tag, std::nullopt}, image.bytes_of(image.root),
                        image.root.media_type, options.stop);
}

void copy_referrers(const oci::Repository& from, const ImageTree& image, registry::Client& client,
                    const oci::Repository& to, const CopyOptions& options) {
  ReferrerCopier(from, client, to, options).copy_all(image, 0);
}

}  // namespace strake::builder
