#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "builder/exec/cdi.h"
#include "builder/exec/run_grants.h"
#include "builder/exec/step_settings.h"
#include "builder/plan/build_plan.h"
#include "builder/sandbox/sandbox.h"
#include "layers/base/fd.h"

namespace strake::builder {

/// What the --device options of a build mean on this machine, known before anything runs.
class DeviceTable {
 public:
  DeviceTable() = default;
  /// Reads the CDI specs if a step of `plans` asks for a device. Throws, with the step's lines,
  /// Error(not_found) for a required device that is not here, Error(denied) for one that is not
  /// granted, and what CdiDevices throws.
  DeviceTable(std::span<const plan::BuildPlan> plans,
              const std::vector<std::filesystem::path>& directories, const DeviceGrants& grants);

  /// The same for devices that the user names himself, and grants by that.
  DeviceTable(std::span<const std::string> names,
              const std::vector<std::filesystem::path>& directories);

  /// The devices that the request stands for; none: there is no such device here.
  const std::vector<const CdiDevice*>& of(const std::string& request) const {
    return found_.at(request);
  }

 private:
  void look_up(const dockerfile::RunDevice& request, const DeviceGrants& grants);
  void check_granted(const std::vector<const CdiDevice*>& devices,
                     const DeviceGrants& grants) const;

  CdiDevices devices_;
  std::map<std::string, std::vector<const CdiDevice*>> found_;  // by request
};

/// Adds to `spec`, whose user and environment are set, what the requested devices bring: nodes,
/// mounts, variables and groups. `note` takes lines for the user: what is not here, what is not
/// done. The result must be held as long as `spec` is in use. Throws Error(not_found) for files
/// and nodes that are not there, Error(invalid_input) for a node that is another device than its
/// spec says, Error(unsupported) for what no step can have.
[[nodiscard]] std::vector<base::FileDescriptor> add_devices(
    std::span<const dockerfile::RunDevice> requests, const DeviceTable& devices,
    sandbox::Spec& spec, const std::function<void(const std::string&)>& note);

/// The same for a command without a plan: all devices of the settings, of the machine and of CDI
/// specs.
[[nodiscard]] std::vector<base::FileDescriptor> add_devices(
    const StepSettings& settings, sandbox::Spec& spec,
    const std::function<void(const std::string&)>& note);

}  // namespace strake::builder
