#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/limits.h"
#include "builder/sandbox/sandbox.h"
#include "cache/cache_key.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::builder {

/// A device of this machine that commands get as it is (--device /dev/fuse).
struct HostDevice {
  std::string source, target;  // absolute paths; a directory stands for the devices in it
  bool operator==(const HostDevice&) const = default;
};

/// What the user says about every command that runs in the sandbox: the RUN steps of a build, or
/// the one of "strake run". The defaults are docker's.
struct StepSettings {
  sandbox::Network network = sandbox::Network::host;
  std::vector<std::pair<std::string, std::string>> add_hosts;  // name → address
  std::string hostname;                                        // "": the sandbox's own
  sandbox::Resolver resolver;
  sandbox::ResourceLimits resources;
  std::vector<sandbox::Ulimit> ulimits;
  std::optional<std::uint64_t> shm_size_bytes;
  sandbox::CapabilityChanges capabilities;
  bool no_new_privileges = false;
  bool all_system_calls = false;  // seccomp=unconfined
  std::optional<std::chrono::milliseconds> timeout;
  std::vector<HostDevice> devices;
  std::vector<std::string> cdi_devices;  // "vendor.com/class=name"; DeviceTable knows them
  std::vector<std::filesystem::path> cdi_directories = {"/etc/cdi", "/var/run/cdi"};  // later win
};

/// Puts everything but the devices into the spec of a command.
void apply(const StepSettings& settings, sandbox::Spec& spec);

/// Adds the devices of the machine to the spec. The result must be held as long as `spec` is in
/// use. Throws Error(not_found) or Error(invalid_input) for what is no device.
[[nodiscard]] std::vector<base::FileDescriptor> add_host_devices(const StepSettings& settings,
                                                                 sandbox::Spec& spec);

/// Adds to a key what can change the result of a command: rights, names, devices, and the limits
/// that a program can ask for. Not addresses, name servers, time, memory and processors: with less
/// of them a command fails, and with more it does not do anything else.
void add_fields(const StepSettings& settings, cache::KeyBuilder& key);

/// What to tell the user of a command that failed: how it ended, which limit it met, and the option
/// that raises it. Error(step_failed).
base::Error failure(const sandbox::ExitStatus& status, const StepSettings& settings);

}  // namespace strake::builder
