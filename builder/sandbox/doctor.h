#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace strake::sandbox {

/// One thing this machine may or may not offer.
struct Check {
  std::string feature;  // stable, for scripts: "overlay", "user-namespaces", ...
  bool ok = false;
  std::string detail;  // what was seen
  std::string knob;    // what would make it work; "" when it works or nothing would
};

/// Tries what the rungs of the sandbox need, each in a child process of its own. `store` is where
/// layers would live (overlayfs is tried there; it must exist).
std::vector<Check> diagnose(const std::filesystem::path& store);

}  // namespace strake::sandbox
