#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "layers/oci/reference.h"

namespace strake::check {

/// A base image by what its name says.
struct NamedImage {
  std::string path;  // "library/python" for docker's official images, else with the registry
  std::optional<std::string> tag;  // as written: absent is not "latest"
  bool has_digest = false;

  /// "python" for docker.io/library/python; "" for images of others.
  std::string_view official() const;
};

/// Empty for a text that is no reference.
std::optional<NamedImage> named_image(const std::string& text);

/// "3.7-slim-buster" → {3, 7}; {} when the tag does not start with a number.
struct TagVersion {
  int major = -1, minor = -1;  // -1: not given
};
TagVersion tag_version(std::string_view tag);

}  // namespace strake::check
