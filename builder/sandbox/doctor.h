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
  std::string gives;   // what builds have of it
  std::string knob;    // what would make it work; "" when it works
};

struct Diagnosis {
  std::string isolation;  // the rung: "root", "user", "user-one", "chroot"; "" if there is none
  std::string why;        // as Rung::describe(), or what keeps steps from being run at all
  std::vector<Check> checks;
};

/// Tries what the rungs of the sandbox need, each in a child process of its own, on the rung this
/// process has entered; if it entered none, says which one would be taken. `store` is where layers
/// would live (overlayfs is tried there; it must exist).
Diagnosis diagnose(const std::filesystem::path& store);

}  // namespace strake::sandbox
