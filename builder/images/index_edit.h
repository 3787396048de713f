#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "layers/oci/manifest.h"

// What can be done to the list of an index, without a registry. Pure.

namespace strake::builder {

/// The image that an attestation manifest is about; nullopt for everything else. BuildKit keeps
/// attestations as entries of their own (annotations vnd.docker.reference.type and .digest).
std::optional<base::Digest> attestation_subject(const oci::Descriptor& entry);

/// Whether the entry is an image for a platform: has one, and is no attestation.
bool is_platform_image(const oci::Descriptor& entry);

/// Adds `entries` in their order. One that is there by its digest stays in its place, with what
/// annotations and platform the new one has besides; an image takes the place of the one that the
/// index had for the same platform, whose attestations go.
void add_entries(oci::Index& index, std::span<const oci::Descriptor> entries);

/// Keeps the images of these platforms, with their attestations. A platform without a variant means
/// all its variants if none is exactly it. Throws Error(not_found) naming what there is.
void keep_platforms(oci::Index& index, std::span<const oci::Platform> platforms);

/// Removes an entry named by its digest, or those of a platform, and their attestations. Throws
/// Error(not_found) naming what there is.
void remove_entry(oci::Index& index, std::string_view digest_or_platform);

/// The platforms of its images, as "linux/amd64, linux/arm64"; "no platform" if there is none.
std::string platform_list(const oci::Index& index);

}  // namespace strake::builder
