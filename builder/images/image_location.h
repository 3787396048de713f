#pragma once

#include <string>
#include <string_view>

namespace strake::builder {

/// Where an image is, as users write it.
struct ImageLocation {
  enum class Kind {
    registry,        // [docker://]NAME[:TAG][@DIGEST]
    layout,          // oci:DIRECTORY[:NAME]
    oci_archive,     // oci-archive:FILE[:NAME]
    docker_archive,  // docker-archive:FILE[:NAME]
    store,           // store:NAME, the local images
  };
  Kind kind = Kind::registry;
  std::string path;  // of a directory or file; "" for the others
  std::string name;  // of the image; "" if none was given
  bool operator==(const ImageLocation&) const = default;
};

/// Throws Error(invalid_input) for a location without a path or of a kind that is not known.
ImageLocation parse_location(std::string_view text);

}  // namespace strake::builder
