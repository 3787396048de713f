#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "layers/oci/platform.h"

namespace strake::builder {

/// "--build-context name=value": another place to copy from, or to take for an image.
struct NamedContext {
  enum class Kind {
    directory,   // value: the path
    image,       // docker-image://REFERENCE        value: REFERENCE ("scratch" too)
    oci_layout,  // oci-layout://PATH[:tag][@digest] value: what follows "//"
    target,      // target:STAGE                    value: STAGE
    git,         // value: the URL
    http,        // value: the URL
  };
  std::string name;                       // normalised
  std::optional<oci::Platform> platform;  // of "name::os/arch"
  Kind kind = Kind::directory;
  std::string value;
  bool operator==(const NamedContext&) const = default;
};

/// Throws Error(invalid_input) without "=", for a name that is no image name, or an empty value.
NamedContext parse_named_context(std::string_view text);

/// The form under which names of contexts, stages and images are compared: "docker.io/library/x" is
/// "x", and ":latest" is left out. nullopt for what cannot be the name of a context.
std::optional<std::string> context_name(std::string_view name);

}  // namespace strake::builder
