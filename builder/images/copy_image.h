#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "builder/images/image_tree.h"
#include "registry/transfer.h"

namespace strake::builder {

enum class Referrers { left, copied };

struct CopyOptions {
  registry::ProgressCallback progress = {};
  std::stop_token stop = {};
};

/// Brings the image to a registry as it is: blobs first (mounted where the registry has them
/// already, else streamed through memory that does not grow with them), then manifests by digest,
/// then the root under `to`'s tag, by its digest if there is none. What is there is skipped.
void copy_to_registry(ImageSource& source, const ImageTree& image, registry::Client& client,
                      const oci::Reference& to, const CopyOptions& options = {});

/// Copies what refers to the image's documents (signatures, attached files), and what refers to
/// that. `from` must be where the image came from.
void copy_referrers(const oci::Repository& from, const ImageTree& image, registry::Client& client,
                    const oci::Repository& to, const CopyOptions& options = {});

/// Adds the image to an image layout, made if it is not there. `name` is the tag or whole reference
/// that it gets, if not "".
void copy_to_layout(ImageSource& source, const ImageTree& image, const std::string& path,
                    const std::string& name);

enum class ArchiveKind { oci, docker };
/// Writes an archive ("-" is stdout). A docker-archive holds one platform.
void copy_to_archive(ImageSource& source, const ImageTree& image, ArchiveKind kind,
                     const std::string& path, const std::string& name);

/// Makes it the local image `name`. Throws Error(unsupported) for what is no container image.
void copy_to_store(ImageSource& source, const ImageTree& image, const oci::Reference& name,
                   Machine& machine);

}  // namespace strake::builder
