#pragma once

#include <cstdint>
#include <string>

namespace strake::sandbox {

/// Notices whether the kernel killed processes for lack of memory since the object was made: in
/// the builder's memory cgroup where there is one, else in the whole machine.
class OomWatch {
 public:
  OomWatch();
  bool happened() const;

 private:
  std::uint64_t before_;
};

}  // namespace strake::sandbox
