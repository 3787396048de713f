#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "builder/exec/secrets.h"

namespace strake::builder {

/// An ssh agent that the build was given (--ssh).
struct AgentSource {
  std::string id;
  std::filesystem::path socket;
};

/// What the user lets RUN steps use besides what is in the Dockerfile and the context.
struct RunGrants {
  Secrets& secrets;
  std::span<const AgentSource> agents;
};

}  // namespace strake::builder
