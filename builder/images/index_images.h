#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "builder/images/copy_image.h"
#include "builder/output/annotations.h"

namespace strake::builder {

enum class Append { no, yes };
enum class SingleSource {
  index,  // an index of one image is made of it
  as_it_is
};

/// An index to be made of images that are in registries.
struct IndexRequest {
  std::vector<oci::Reference> targets;            // tags; not empty
  std::vector<oci::Reference> sources;            // images and indexes, of any registry
  std::vector<oci::Descriptor> descriptors = {};  // manifests that are in all target repositories
  std::vector<oci::Platform> platforms = {};      // of the sources; empty: all
  std::vector<Annotation> annotations = {};
  Append append = Append::no;  // to what is at the targets
  SingleSource single = SingleSource::index;
};

/// The document that `request` makes for `target`, without writing anything. Children keep their
/// bytes. A lone source that is an index, with nothing to change, is taken as it is.
///
/// Throws Error(invalid_input) when two sources have an image for the same platform, or for an
/// annotation that would change an image.
AnyDocument plan_index(registry::Client& client, const IndexRequest& request,
                       const oci::Reference& target, std::stop_token stop = {});

/// Makes the index at all targets: copies children there byte for byte where they are missing
/// (mounted where possible), writes the index last. Returns what is at the first target then.
AnyDocument create_index(registry::Client& client, const IndexRequest& request,
                         const CopyOptions& options = {});

/// Removes entries named by platform or digest, with their attestations. The manifests stay in the
/// repository. Throws Error(not_found).
oci::Document<oci::Index> remove_from_index(registry::Client& client, const oci::Reference& index,
                                            std::span<const std::string> entries,
                                            std::stop_token stop = {});

/// Sets annotations of the index and of its entries.
oci::Document<oci::Index> annotate_index(registry::Client& client, const oci::Reference& index,
                                         std::span<const Annotation> annotations,
                                         std::stop_token stop = {});

}  // namespace strake::builder
