#include "builder/images/image_location.h"

#include <array>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

using Kind = ImageLocation::Kind;

struct Prefix {
  std::string_view text;
  Kind kind;
};
constexpr std::array kPrefixes = std::to_array<Prefix>({
    {"docker://", Kind::registry},
    {"oci-layout://", Kind::layout},
    {"oci-archive:", Kind::oci_archive},
    {"docker-archive:", Kind::docker_archive},
    {"oci:", Kind::layout},
    {"store:", Kind::store},
});

/// Kinds of other tools, which would pass for names of registries.
constexpr std::array<std::string_view, 6> kForeign = {
    "docker-daemon:", "containers-storage:", "dir:", "ostree:", "sif:", "tarball:"};

/// "images/app:v1" is v1 of images/app, "images/app@sha256:…" the digest. Directories may have ":"
/// and "@" in their names.
void split_path(std::string_view rest, ImageLocation& location) {
  const std::size_t last = rest.rfind('/') == rest.npos ? 0 : rest.rfind('/') + 1;
  std::size_t at = rest.find('@', last);
  if (at == rest.npos) at = rest.find(':', last);
  location.path = rest.substr(0, at);
  if (at != rest.npos) location.name = rest.substr(at + 1);
}

/// Names of docker-archives are whole references, with slashes: the first colon ends the path.
void split_archive(std::string_view rest, ImageLocation& location) {
  const std::size_t colon = rest.find(':');
  location.path = rest.substr(0, colon);
  if (colon != rest.npos) location.name = rest.substr(colon + 1);
}

}  // namespace

ImageLocation parse_location(std::string_view text) {
  const auto invalid = [&](const std::string& why) {
    return base::Error(base::ErrorCode::invalid_input, base::quoted(text) + " " + why);
  };
  for (const std::string_view prefix : kForeign)
    if (text.starts_with(prefix))
      throw invalid("is a place of another tool")
          .hint(
              "use oci:DIRECTORY, oci-archive:FILE, docker-archive:FILE, store:NAME or the name "
              "of an image in a registry");
  ImageLocation location;
  std::string_view rest = text;
  for (const Prefix& prefix : kPrefixes) {
    if (!text.starts_with(prefix.text)) continue;
    location.kind = prefix.kind;
    rest.remove_prefix(prefix.text.size());
    break;
  }
  switch (location.kind) {
    case Kind::registry:
    case Kind::store:
      location.name = rest;
      if (rest.empty()) throw invalid("names no image");
      return location;
    case Kind::docker_archive:
      split_archive(rest, location);
      break;
    case Kind::layout:
    case Kind::oci_archive:
      split_path(rest, location);
      break;
  }
  if (location.path.empty()) throw invalid("names no directory or file");
  return location;
}

}  // namespace strake::builder
