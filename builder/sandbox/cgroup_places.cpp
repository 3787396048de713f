#include "builder/sandbox/cgroup_places.h"

#include <algorithm>
#include <sstream>

#include "layers/base/files.h"

namespace strake::sandbox {
namespace {

constexpr std::size_t kMaxBytes = 4 << 20;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  return split(base::read_file(file, kMaxBytes).value_or(""), '\n');
}

/// A line of mountinfo: "31 23 0:28 ROOT POINT options [fields...] - TYPE SOURCE SUPER".
struct MountLine {
  std::string root, point, type, super;
};

std::optional<MountLine> parse_mount(const std::string& line) {
  const std::vector<std::string> words = split(line, ' ');
  const auto dash = std::ranges::find(words, "-");
  if (words.size() < 6 || words.end() - dash < 4) return std::nullopt;
  return MountLine{words[3], words[4], dash[1], dash[3]};
}

/// The directory of the group `path` where `mount` shows it. Its names are relative to the root of
/// the cgroup namespace: "/.." is outside, and a container may see a part of the hierarchy only.
std::optional<std::filesystem::path> directory_of(const MountLine& mount, const std::string& path) {
  if (path.starts_with("/..")) return std::nullopt;
  std::string below = path;
  if (mount.root != "/") {
    if (!path.starts_with(mount.root)) return std::nullopt;
    below = path.substr(mount.root.size());
    if (!below.empty() && below.front() != '/') return std::nullopt;
  }
  return std::filesystem::path(below == "/" ? mount.point : mount.point + below);
}

/// Docker's --cpu-shares has the range 2 to 262144 of version 1; weights go from 1 to 10000.
std::uint64_t weight_of(std::uint64_t shares) {
  const std::uint64_t bounded = std::clamp<std::uint64_t>(shares, 2, 262'144);
  return 1 + (bounded - 2) * 9'999 / 262'142;
}

std::string text_of(std::uint64_t number) {
  return std::to_string(number);
}

void add_memory(const ResourceLimits& limits, CgroupVersion version,
                std::vector<LimitFile>& files) {
  if (!limits.memory_bytes) return;
  const std::uint64_t memory = *limits.memory_bytes;
  const bool implied = !limits.memory_and_swap_bytes;
  const bool unlimited = !implied && *limits.memory_and_swap_bytes < 0;
  const std::uint64_t both =
      implied || unlimited ? 2 * memory : static_cast<std::uint64_t>(*limits.memory_and_swap_bytes);
  // A machine that does not count swap has nothing to set where there is to be no limit.
  const bool optional = implied || unlimited;
  if (version == CgroupVersion::two) {
    files.push_back({"memory", "memory.max", text_of(memory)});
    files.push_back(
        {"memory", "memory.swap.max", unlimited ? "max" : text_of(both - memory), optional});
  } else {
    // In this order: the second may never be below the first.
    files.push_back({"memory", "memory.limit_in_bytes", text_of(memory)});
    files.push_back(
        {"memory", "memory.memsw.limit_in_bytes", unlimited ? "-1" : text_of(both), optional});
  }
}

void add_processor(const ResourceLimits& limits, CgroupVersion version,
                   std::vector<LimitFile>& files) {
  if (limits.cpu_time) {
    const std::string quota = text_of(limits.cpu_time->quota_us);
    const std::string period = text_of(limits.cpu_time->period_us);
    if (version == CgroupVersion::two) {
      files.push_back({"cpu", "cpu.max", quota + " " + period});
    } else {
      files.push_back({"cpu", "cpu.cfs_period_us", period});
      files.push_back({"cpu", "cpu.cfs_quota_us", quota});
    }
  }
  if (limits.cpu_shares && version == CgroupVersion::two)
    files.push_back({"cpu", "cpu.weight", text_of(weight_of(*limits.cpu_shares))});
  if (limits.cpu_shares && version == CgroupVersion::one)
    files.push_back({"cpu", "cpu.shares", text_of(*limits.cpu_shares)});
  if (!limits.cpus.empty()) files.push_back({"cpuset", "cpuset.cpus", limits.cpus});
  if (!limits.memory_nodes.empty()) files.push_back({"cpuset", "cpuset.mems", limits.memory_nodes});
}

}  // namespace

const std::filesystem::path* CgroupPlaces::separate_of(std::string_view controller) const noexcept {
  for (const Separate& place : separate)
    if (place.controller == controller) return &place.directory;
  return nullptr;
}

CgroupPlaces find_cgroups(const CgroupFiles& files) {
  std::vector<MountLine> mounts;
  for (const std::string& line : lines_of(files.mounts))
    if (auto mount = parse_mount(line); mount && mount->type.starts_with("cgroup"))
      mounts.push_back(std::move(*mount));

  CgroupPlaces places;
  for (const std::string& line : lines_of(files.own)) {  // "4:memory:/path", "0::/path"
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    for (const std::string& controller : split(names, ','))
      for (const MountLine& mount : mounts) {
        const std::vector<std::string> shown = split(mount.super, ',');
        if (mount.type != "cgroup" || std::ranges::find(shown, controller) == shown.end()) continue;
        if (auto directory = directory_of(mount, path))
          places.separate.push_back({controller, std::move(*directory)});
      }
    if (!names.empty()) continue;
    for (const MountLine& mount : mounts)
      if (mount.type == "cgroup2") places.unified = directory_of(mount, path);
  }
  return places;
}

std::vector<LimitFile> limit_files(const ResourceLimits& limits, CgroupVersion version) {
  std::vector<LimitFile> files;
  add_memory(limits, version, files);
  add_processor(limits, version, files);
  // Process 1 of a step is ours and counts too.
  if (limits.processes) files.push_back({"pids", "pids.max", text_of(*limits.processes + 1)});
  return files;
}

}  // namespace strake::sandbox
