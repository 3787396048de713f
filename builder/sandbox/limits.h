#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace strake::sandbox {

/// A limit of each process of a step (setrlimit); `name` as docker writes it: "nofile", "nproc",
/// "core", ... -1 is unlimited.
struct Ulimit {
  std::string name;
  std::int64_t soft = 0;
  std::int64_t hard = 0;
  bool operator==(const Ulimit&) const = default;
};

/// The RLIMIT_ number of a ulimit's name. Throws Error(invalid_input) for a name that is not known.
int ulimit_resource(std::string_view name);

/// The share of processor time that the processes of a step may have: `quota` of each `period`,
/// both in microseconds, so 150000 of 100000 is one and a half processors.
struct CpuTime {
  std::uint64_t quota_us = 0;
  std::uint64_t period_us = 100'000;
  bool operator==(const CpuTime&) const = default;
};

/// Limits of all processes of a step together, kept by a control group. Absent: no limit.
struct ResourceLimits {
  std::optional<std::uint64_t> memory_bytes;
  /// Memory and swap together, -1 is unlimited. Absent: as docker has it, as much swap as memory,
  /// if the machine counts swap at all. Only with memory_bytes.
  std::optional<std::int64_t> memory_and_swap_bytes;
  std::optional<CpuTime> cpu_time;
  std::optional<std::uint64_t>
      cpu_shares;                  // against others when all processors are busy; 1024 is usual
  std::string cpus, memory_nodes;  // which ones: "0-3,8"; "": all
  std::optional<std::uint64_t> processes;

  bool any() const noexcept {
    return memory_bytes || cpu_time || cpu_shares || processes || !cpus.empty() ||
           !memory_nodes.empty();
  }
  bool operator==(const ResourceLimits&) const = default;
};

}  // namespace strake::sandbox
