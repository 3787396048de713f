#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "builder/sandbox/cgroup_places.h"
#include "builder/sandbox/limits.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// A control group around all processes of one step: a child of the builder's own, so that what
/// limits the builder limits the step too. Of version 1 (a group in each hierarchy that is needed)
/// where the machine has its controllers there, of version 2 else.
///
/// Removed by the destructor, which needs the processes to be dead. What a killed builder left is
/// removed by the next one in the same place: a held lock says that a group is in use.
class Cgroup {
 public:
  /// Makes the group and sets `limits` on it; without any limit there is none. Throws
  /// Error(unsupported) naming the knob when a limit cannot be kept here, Error(invalid_input) for
  /// a value that the kernel does not take.
  explicit Cgroup(const ResourceLimits& limits, const CgroupPlaces& places = find_cgroups());
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  /// Descriptors of files to which a process writes "0" to enter the group.
  const std::vector<int>& entries() const noexcept { return entries_; }
  /// Times that a process of the group was killed because its memory was used up.
  std::uint64_t memory_kills() const;
  /// Times that there could be no further process because of the limit.
  std::uint64_t refused_processes() const;

 private:
  /// The group as one hierarchy has it; made, locked and removed by its object.
  class Group {
   public:
    explicit Group(const std::filesystem::path& parent);
    Group(Group&&) = default;
    Group& operator=(Group&&) = delete;
    ~Group();
    const std::filesystem::path& path() const noexcept { return path_; }
    base::FileDescriptor open_entry() const;

   private:
    std::filesystem::path path_;
    base::FileDescriptor directory_;  // locked as long as the group is in use
  };

  void make_separate(const std::vector<LimitFile>& files, const CgroupPlaces& places);
  void make_unified(const std::vector<LimitFile>& files, const std::filesystem::path& own);
  const std::filesystem::path& add(const std::filesystem::path& parent);

  std::vector<Group> groups_;
  std::vector<base::FileDescriptor> files_;
  std::vector<int> entries_;                              // of files_
  std::filesystem::path memory_counts_, process_counts_;  // ""; there is no such limit
};

}  // namespace strake::sandbox
