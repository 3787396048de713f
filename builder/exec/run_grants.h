#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "builder/exec/secrets.h"

namespace strake::builder {

/// An ssh agent that the build was given (--ssh).
struct AgentSource {
  std::string id;
  std::filesystem::path socket;
};

/// The devices that RUN --device may have (--allow device).
struct DeviceGrants {
  struct Device {
    std::string name;        // "vendor.com/class=name", or as RUN --device may name several
    std::string alias = "";  // a request of this name gets the device instead
  };
  bool all = false;
  std::vector<Device> devices = {};
};

/// What the user lets RUN steps use besides what is in the Dockerfile and the context.
struct RunGrants {
  Secrets& secrets;
  std::span<const AgentSource> agents;
};

}  // namespace strake::builder
