#include "builder/images/image_tree.h"

#include <algorithm>
#include <set>

#include "builder/images/index_edit.h"
#include "layers/base/error.h"
#include "layers/oci/image_config.h"
#include "registry/client.h"
#include "registry/index_update.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

constexpr int kDeepestIndex = 2;

class TreeReader {
 public:
  explicit TreeReader(ImageSource& source) : source_(source) {}

  ImageTree read(const AnyDocument& root) {
    tree_.root = root.descriptor;
    add(root, 0);
    return std::move(tree_);
  }

 private:
  void add(const AnyDocument& document, int depth) {
    if (!seen_.insert(document.descriptor.digest).second) return;
    if (const auto* manifest = std::get_if<oci::Manifest>(&document.value)) {
      tree_.manifests.push_back({document.bytes, document.descriptor, *manifest});
      return;
    }
    if (depth == kDeepestIndex)
      throw Error(ErrorCode::unsupported,
                  "indexes inside indexes inside an index are not supported");
    const auto& index = std::get<oci::Index>(document.value);
    for (const oci::Descriptor& entry : index.manifests)
      if (!seen_.contains(entry.digest)) add(source_.document(entry), depth + 1);
    tree_.indexes.push_back({document.bytes, document.descriptor, index});
  }

  ImageSource& source_;
  ImageTree tree_;
  std::set<base::Digest> seen_;
};

/// `root` reduced to the platforms.
AnyDocument reduced(ImageSource& source, const AnyDocument& root,
                    std::span<const oci::Platform> platforms) {
  if (const auto* manifest = std::get_if<oci::Manifest>(&root.value)) {
    const auto platform = platform_of(source, *manifest);
    oci::Index only{.manifests = {root.descriptor}};
    only.manifests[0].platform = platform;
    keep_platforms(only, platforms);  // throws unless it is that one
    return root;
  }
  oci::Index index = std::get<oci::Index>(root.value);
  const std::vector<oci::Descriptor> before = index.manifests;
  keep_platforms(index, platforms);
  if (index.manifests == before) return root;
  if (index.manifests.size() == 1) return source.document(index.manifests[0]);
  const bool docker = registry::is_docker_index(index);
  auto made = oci::make_index(std::move(index), docker);
  return {std::move(made.bytes), std::move(made.descriptor), std::move(made.value)};
}

}  // namespace

const std::string& ImageTree::bytes_of(const oci::Descriptor& document) const {
  for (const auto& index : indexes)
    if (index.descriptor.digest == document.digest) return index.bytes;
  const auto manifest = std::ranges::find(manifests, document.digest, [](const auto& candidate) {
    return candidate.descriptor.digest;
  });
  return manifest->bytes;
}

ImageTree read_tree(ImageSource& source, const AnyDocument& root) {
  return TreeReader(source).read(root);
}

ImageTree read_image(ImageSource& source, std::span<const oci::Platform> platforms) {
  const AnyDocument root = source.root();
  if (platforms.empty()) return read_tree(source, root);
  return read_tree(source, reduced(source, root, platforms));
}

std::optional<oci::Platform> platform_of(ImageSource& source, const oci::Manifest& manifest) {
  const std::string& type = manifest.config.media_type;
  if (type != oci::media_type::kOciConfig && type != oci::media_type::kDockerConfig)
    return std::nullopt;
  if (manifest.config.size > registry::kConfigLimitBytes)
    throw Error(ErrorCode::corrupt, "the image's config is too large");
  base::StringSink config;
  source.stream(manifest.config, config);
  return oci::parse_image_config(config.text).platform;
}

bool is_foreign(const oci::Descriptor& layer) {
  return layer.media_type.find("nondistributable") != std::string::npos ||
         layer.media_type.find(".foreign.") != std::string::npos;
}

}  // namespace strake::builder
