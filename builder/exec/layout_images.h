#pragma once

#include <string>

#include "builder/exec/machine.h"
#include "builder/plan/stage_graph.h"

namespace strake::builder {

/// The image for `request.platform` of an OCI image layout on disk; `location` is
/// "PATH[:tag][@digest]". Its documents and layers are copied into the store, so that the layout
/// may go away. Throws Error(not_found) if it has no such image, Error(corrupt) for a bad layout.
plan::ResolvedImage resolve_layout_image(const std::string& location,
                                         const plan::ImageRequest& request, Machine& machine);

}  // namespace strake::builder
