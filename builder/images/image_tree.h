#pragma once

#include <span>
#include <vector>

#include "builder/images/image_source.h"

namespace strake::builder {

/// The documents of an image with their exact bytes.
struct ImageTree {
  oci::Descriptor root;
  std::vector<oci::Document<oci::Index>> indexes;       // what is named before what names it
  std::vector<oci::Document<oci::Manifest>> manifests;  // each once, in the order of the indexes

  /// The bytes of an index or manifest of the tree.
  const std::string& bytes_of(const oci::Descriptor& document) const;
};

/// Reads all documents below `root`. Throws Error(unsupported) for indexes nested more than two
/// deep.
ImageTree read_tree(ImageSource& source, const AnyDocument& root);

/// As read_tree() of the source's root, with nothing but these platforms if any are given. Of an
/// index, one platform gives its manifest as it is; several, or one that has attestations, give a
/// new index. Throws Error(not_found) naming what there is.
ImageTree read_image(ImageSource& source, std::span<const oci::Platform> platforms);

/// The platform that the config of an image says. nullopt for what is no image (an artifact).
std::optional<oci::Platform> platform_of(ImageSource& source, const oci::Manifest& manifest);

/// Whether a layer of this type may be left where it is: it is not to be distributed.
bool is_foreign(const oci::Descriptor& layer);

}  // namespace strake::builder
