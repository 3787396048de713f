#pragma once

#include <string>
#include <string_view>

#include "layers/oci/platform.h"

namespace strake::builder {

/// What the marker tags of all parts of `tag` begin with: "1.0--part-".
std::string part_prefix(std::string_view tag);

/// The tag that marks the part of one platform of the image `tag`: "1.0--part-linux-arm64". A legal
/// tag (128 characters of [A-Za-z0-9_.-]) whatever the two are: what would be too long ends in a
/// piece of its digest instead. Different platforms of a tag have different ones.
std::string part_tag(std::string_view tag, const oci::Platform& platform);

}  // namespace strake::builder
