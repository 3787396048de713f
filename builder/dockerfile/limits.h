#pragma once

#include <cstddef>

namespace strake::dockerfile {

/// Bounds on what a file from elsewhere may ask of us. Generous for people, small for machines.
struct Limits {
  std::size_t file_bytes = 16U << 20;
  std::size_t instructions = 10'000;
  std::size_t stages = 1'000;
};

inline constexpr std::size_t kMaxIgnoreFileBytes = 1U << 20;
inline constexpr std::size_t kMaxIgnorePatterns = 10'000;

/// `${a:-${b:-…}}` may nest this deep.
inline constexpr int kMaxExpansionDepth = 32;
/// The longest expanded word. `ENV A=$A$A` doubles A each time, so there must be an end; the kernel
/// accepts no single argument or variable above 128 KiB anyway.
inline constexpr std::size_t kMaxExpandedBytes = 1U << 20;
/// All variables of a stage together, which every RUN has a copy of. The kernel accepts a quarter
/// of the stack's limit, usually 2 MiB, with the arguments.
inline constexpr std::size_t kMaxEnvironmentBytes = 2U << 20;
inline constexpr std::size_t kMaxVariables = 10'000;
inline constexpr std::size_t kMaxExpandedHeredocBytes = 16U << 20;
/// The longest pattern of `${v#p}`, `${v%p}` and `${v/p/r}`.
inline constexpr std::size_t kMaxSubstitutionPatternBytes = 4096;

}  // namespace strake::dockerfile
