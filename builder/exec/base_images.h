#pragma once

#include <map>
#include <stop_token>

#include "builder/exec/build.h"
#include "builder/exec/machine.h"
#include "builder/plan/stage_graph.h"
#include "layers/oci/manifest.h"

namespace strake::builder {

/// The manifest of `index` that fits the request's platform best. Throws Error(not_found) naming
/// the platforms there are.
oci::Descriptor choose_manifest(const oci::Index& index, const plan::ImageRequest& request);

/// Pins `request` to a manifest and fetches its config, from the store or the registry as `policy`
/// says: with always and newer the registry is asked what the name means now, and anything is
/// fetched only if that is not in the store; with never it is not asked anything. What was fetched
/// is kept: documents as blobs, the image under its name, and for each layer where its blob can be
/// had. No layer is pulled.
///
/// Throws Error(not_found) when no image of that name, or none for the platform, is there;
/// Error(unavailable) or Error(denied) for what the registry said.
plan::ResolvedImage resolve_image(const plan::ImageRequest& request, PullPolicy policy,
                                  Machine& machine, std::stop_token stop);

/// The same for several, at the same time. Each is shown as a task; errors get the place in the
/// Dockerfile that asks for the image.
plan::ResolvedImages resolve_images(const std::map<plan::ImageRequest, base::SourceRange>& requests,
                                    PullPolicy policy, Machine& machine, std::stop_token stop);

}  // namespace strake::builder
