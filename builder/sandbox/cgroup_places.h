#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/sandbox/limits.h"

namespace strake::sandbox {

/// What the kernel tells about the control groups of this process; tests have files of their own.
struct CgroupFiles {
  std::filesystem::path own = "/proc/self/cgroup";
  std::filesystem::path mounts = "/proc/self/mountinfo";
};

/// The directories of this process' own control groups.
struct CgroupPlaces {
  struct Separate {
    std::string controller;
    std::filesystem::path directory;
  };
  std::optional<std::filesystem::path> unified;  // version 2
  std::vector<Separate> separate;                // version 1, a hierarchy for each controller

  const std::filesystem::path* separate_of(std::string_view controller) const noexcept;
};

/// Those that can be reached through what is mounted.
CgroupPlaces find_cgroups(const CgroupFiles& files = {});

/// One file of a control group that a limit is written to.
struct LimitFile {
  std::string controller, name, value;
  bool optional = false;  // nobody asked for it: a machine without it does as well
  bool operator==(const LimitFile&) const = default;
};

enum class CgroupVersion { one, two };

/// The files that keep `limits`, in the order they have to be written.
std::vector<LimitFile> limit_files(const ResourceLimits& limits, CgroupVersion version);

}  // namespace strake::sandbox
