#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "builder/sandbox/mount.h"
#include "builder/sandbox/sandbox.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// The device nodes of the host that steps may use, checked to be what their names say.
class HostDevices {
 public:
  struct Device {
    std::string name;  // below /dev
    base::FileDescriptor node;
  };
  /// Throws Error(unsupported) if one is missing or something else.
  HostDevices();
  const std::vector<Device>& devices() const noexcept { return devices_; }

 private:
  std::vector<Device> devices_;
};

/// What no mount of a step allows but for a reason.
inline constexpr std::uint64_t kInert = kNoSuid | kNoDevices | kNoExec;
/// A node is read-only, so that its owner and mode cannot be changed. Data goes through all the
/// same.
inline constexpr std::uint64_t kDeviceNode = kReadOnly | kNoSuid | kNoExec;

/// A fresh tmpfs; 0 bytes: of the kernel's usual limit.
DetachedMount make_tmpfs(std::uint64_t size_bytes, mode_t mode, std::uint64_t attributes);

/// Mounts that steps have alike but cannot share, because they may write to them. Nothing in them
/// depends on the image: so they can be made while another step runs.
struct StepKit {
  /// Steps of one kind can take each other's kit.
  struct Kind {
    bool insecure = false;
    bool host_network = false;
    std::uint64_t shm_size_bytes = 0;
    bool operator==(const Kind&) const = default;
  };
  static Kind kind_of(const Spec& spec) noexcept;

  /// Throws Error(system).
  StepKit(const Kind& kind, const HostDevices& host);

  // In `scratch`: what covers a file or a directory that a step must not see.
  static constexpr const char* kMaskFile = "mask-file";
  static constexpr const char* kMaskDirectory = "mask-directory";

  /// What lies in /dev, and where.
  struct Part {
    DetachedMount mount;
    base::FileDescriptor target;
    std::string path;
  };

  Kind kind;
  DetachedMount scratch;  // for masks and the step's small files
  DetachedMount sys;      // with the host's network; else sysfs must be made in the step's
  DetachedMount devices;  // /dev
  std::vector<Part> parts;
  DetachedMount terminals;  // /dev/pts
  base::FileDescriptor terminals_target, mqueue_target;
};

}  // namespace strake::sandbox
