#pragma once

#include <map>
#include <string>

#include "layers/oci/platform.h"

namespace strake::plan {

/// The ARGs that exist without being declared, in the global scope: BUILDPLATFORM, TARGETARCH, …
/// and TARGETSTAGE ("default" for a stage without a name).
std::map<std::string, std::string> platform_args(const oci::Platform& build,
                                                 const oci::Platform& target,
                                                 const std::string& target_stage);

}  // namespace strake::plan
