#pragma once

#include <string>

#include "layers/oci/manifest.h"

namespace strake::builder::testing {

/// An entry of an index for an image that need not exist.
inline oci::Descriptor image(const std::string& platform, const std::string& content) {
  return {.media_type = std::string(oci::media_type::kOciManifest),
          .digest = base::Digest::of(content),
          .size = content.size(),
          .platform = oci::parse_platform(platform)};
}

/// BuildKit's entry for the attestations of an image.
inline oci::Descriptor attestation(const oci::Descriptor& of, const std::string& content) {
  oci::Descriptor entry{.media_type = std::string(oci::media_type::kOciManifest),
                        .digest = base::Digest::of(content),
                        .size = content.size(),
                        .platform = oci::Platform{"unknown", "unknown", ""}};
  entry.annotations = {{"vnd.docker.reference.type", "attestation-manifest"},
                       {"vnd.docker.reference.digest", of.digest.str()}};
  return entry;
}

}  // namespace strake::builder::testing
