#include "builder/images/index_edit.h"

#include <algorithm>
#include <set>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using oci::Descriptor;

constexpr const char* kReferenceType = "vnd.docker.reference.type";
constexpr const char* kReferenceDigest = "vnd.docker.reference.digest";

/// Removes the attestations whose image is not in the index.
void drop_orphans(oci::Index& index) {
  std::set<base::Digest> images;
  for (const Descriptor& entry : index.manifests) images.insert(entry.digest);
  std::erase_if(index.manifests, [&](const Descriptor& entry) {
    const auto subject = attestation_subject(entry);
    return subject && !images.contains(*subject);
  });
}

void add_entry(oci::Index& index, const Descriptor& entry) {
  const auto same = std::ranges::find(index.manifests, entry.digest, &Descriptor::digest);
  if (same != index.manifests.end()) {
    if (entry.platform) same->platform = entry.platform;
    for (const auto& [key, value] : entry.annotations) same->annotations[key] = value;
    return;
  }
  const auto replaced = std::ranges::find_if(index.manifests, [&](const Descriptor& other) {
    return is_platform_image(entry) && is_platform_image(other) && other.platform == entry.platform;
  });
  if (replaced != index.manifests.end()) {
    *replaced = entry;
    drop_orphans(index);
  } else {
    index.manifests.push_back(entry);
  }
}

bool is_variant_of(const oci::Platform& platform, const oci::Platform& wanted) {
  return wanted.variant.empty() && platform.os == wanted.os &&
         platform.architecture == wanted.architecture &&
         (wanted.os_version.empty() || platform.os_version == wanted.os_version);
}

/// The digests of the images that `wanted` means.
std::vector<base::Digest> images_of(const oci::Index& index, const oci::Platform& wanted) {
  std::vector<base::Digest> exact, variants;
  for (const Descriptor& entry : index.manifests) {
    if (!is_platform_image(entry)) continue;
    if (*entry.platform == wanted) exact.push_back(entry.digest);
    if (is_variant_of(*entry.platform, wanted)) variants.push_back(entry.digest);
  }
  return exact.empty() ? variants : exact;
}

Error not_there(const oci::Index& index, const std::string& what) {
  return Error(ErrorCode::not_found, "the index has no " + what)
      .note("it has: " + platform_list(index));
}

}  // namespace

std::optional<base::Digest> attestation_subject(const Descriptor& entry) {
  if (!entry.annotations.contains(kReferenceType)) return std::nullopt;
  const auto digest = entry.annotations.find(kReferenceDigest);
  if (digest == entry.annotations.end()) return std::nullopt;
  try {
    return base::Digest::parse(digest->second);
  } catch (const Error&) {
    return std::nullopt;  // an entry as any other then
  }
}

bool is_platform_image(const Descriptor& entry) {
  return entry.platform && entry.platform->os != "unknown" && !entry.platform->os.empty() &&
         !entry.annotations.contains(kReferenceType);
}

void add_entries(oci::Index& index, std::span<const Descriptor> entries) {
  for (const Descriptor& entry : entries) add_entry(index, entry);
}

void keep_platforms(oci::Index& index, std::span<const oci::Platform> platforms) {
  std::set<base::Digest> wanted;
  for (const oci::Platform& platform : platforms) {
    const std::vector<base::Digest> images = images_of(index, platform);
    if (images.empty()) throw not_there(index, "image for " + platform.str());
    wanted.insert(images.begin(), images.end());
  }
  std::erase_if(index.manifests, [&](const Descriptor& entry) {
    return !wanted.contains(entry.digest) && !attestation_subject(entry);
  });
  drop_orphans(index);
}

void remove_entry(oci::Index& index, std::string_view digest_or_platform) {
  std::vector<base::Digest> gone;
  if (digest_or_platform.starts_with("sha256:")) {
    const base::Digest digest = base::Digest::parse(digest_or_platform);
    if (std::ranges::find(index.manifests, digest, &Descriptor::digest) != index.manifests.end())
      gone = {digest};
  } else {
    gone = images_of(index, oci::parse_platform(digest_or_platform));
  }
  if (gone.empty()) throw not_there(index, "entry " + base::quoted(digest_or_platform));
  std::erase_if(index.manifests, [&](const Descriptor& entry) {
    return std::ranges::find(gone, entry.digest) != gone.end();
  });
  drop_orphans(index);
}

std::string platform_list(const oci::Index& index) {
  std::string list;
  for (const Descriptor& entry : index.manifests)
    if (is_platform_image(entry)) list += (list.empty() ? "" : ", ") + entry.platform->str();
  return list.empty() ? "no platform" : list;
}

}  // namespace strake::builder
