#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "builder/images/copy_image.h"

namespace strake::builder {

struct AttachedFile {
  std::string path, media_type;
};

/// Makes an artifact of files that refers to `subject` (a tag is resolved), and pushes it beside
/// it. A file's name is its annotation org.opencontainers.image.title. Returns the artifact's
/// manifest. Spec: image-spec manifest.md, "Guidelines for Artifact Usage".
oci::Document<oci::Manifest> attach_files(registry::Client& client, const oci::Reference& subject,
                                          const std::string& artifact_type,
                                          std::span<const AttachedFile> files,
                                          const std::map<std::string, std::string>& annotations,
                                          const CopyOptions& options = {});

}  // namespace strake::builder
