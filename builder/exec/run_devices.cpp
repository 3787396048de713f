#include "builder/exec/run_devices.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <set>

#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

constexpr const char* kAutoAllowAnnotation = "org.mobyproject.buildkit.device.autoallow";

/// The administrator's word that every build may have it.
bool allowed_by_spec(const CdiDevice& device) {
  static const std::set<std::string> kTrue = {"1", "t", "T", "true", "True", "TRUE"};
  const auto annotation = device.annotations.find(kAutoAllowAnnotation);
  return annotation != device.annotations.end() && kTrue.contains(annotation->second);
}

const std::string& target_of(const sandbox::Mount& mount) {
  return std::visit([](const auto& m) -> const std::string& { return m.target; }, mount);
}

std::ptrdiff_t components(const std::string& path) {
  return std::count(path.begin(), path.end(), '/');
}

/// Adds the edits of devices, one after another, to the spec of one step. Where two want the same
/// variable or target, the last one has it.
class DeviceEdits {
 public:
  explicit DeviceEdits(sandbox::Spec& spec)
      : spec_(spec), host_(base::RootedDirectory::open_host("/")) {}

  void add(const CdiEdits& edits, const CdiDevice& device) {
    for (const std::string& variable : edits.env) set(variable);
    for (const CdiNode& node : edits.nodes) add(node, device);
    for (const CdiMount& mount : edits.mounts) add(mount, device);
    for (const gid_t group : edits.groups)
      if (group != 0) spec_.groups.push_back(group);
  }

  /// What lies inside of another mount has to come after it.
  std::vector<base::FileDescriptor> finish() && {
    std::ranges::stable_sort(
        mounts_, {}, [](const sandbox::Mount& mount) { return components(target_of(mount)); });
    spec_.mounts.insert(spec_.mounts.end(), mounts_.begin(), mounts_.end());
    return std::move(files_);
  }

 private:
  void set(const std::string& variable) {
    const std::string prefix = variable.substr(0, variable.find('=') + 1);
    std::erase_if(spec_.env, [&](const std::string& known) { return known.starts_with(prefix); });
    spec_.env.push_back(variable);
  }

  void add(const CdiNode& node, const CdiDevice& device) {
    const int fd = open(node.host_path, device);
    check(node, fd, device);
    sandbox::DeviceNode mount{.source_fd = fd, .target = node.path, .mode = node.mode};
    // As runtimes do: a node that the spec gives to nobody belongs to the user of the command.
    mount.uid = node.uid;
    mount.gid = node.gid;
    if (!mount.uid && spec_.uid != 0) mount.uid = spec_.uid;
    if (!mount.gid && spec_.gid != 0) mount.gid = spec_.gid;
    add(std::move(mount));
  }

  void add(const CdiMount& mount, const CdiDevice& device) {
    if (!mount.type.empty() && mount.type != "bind" && mount.type != "none")
      throw Error(ErrorCode::unsupported, "the device " + base::quoted(device.name) +
                                              " needs a mount of type " + base::quoted(mount.type))
          .note("CDI spec: " + device.file);
    const auto has = [&](const char* option) {
      return std::ranges::find(mount.options, option) != mount.options.end();
    };
    add(sandbox::BindMount{.source_fd = open(mount.host_path, device),
                           .target = mount.container_path,
                           .read_only = has("ro"),
                           .no_exec = has("noexec"),
                           .no_suid = has("nosuid")});
  }

  void add(sandbox::Mount mount) {
    std::erase_if(
        mounts_, [&](const sandbox::Mount& known) { return target_of(known) == target_of(mount); });
    mounts_.push_back(std::move(mount));
  }

  int open(const std::string& path, const CdiDevice& device) {
    auto file = host_.try_open(path, O_PATH);
    if (!file)
      throw Error(ErrorCode::not_found, "there is no " + base::quoted(path) +
                                            ", which the device " + base::quoted(device.name) +
                                            " needs")
          .note("CDI spec: " + device.file);
    files_.push_back(std::move(*file));
    return files_.back().get();
  }

  /// Specs are written once; nodes are numbered anew when a driver is loaded.
  static void check(const CdiNode& node, int fd, const CdiDevice& device) {
    struct ::stat status;
    if (::fstat(fd, &status) != 0) throw base::system_error(errno, "look at", node.host_path);
    const char type = S_ISCHR(status.st_mode) ? 'c' : S_ISBLK(status.st_mode) ? 'b' : 'p';
    const std::pair<unsigned, unsigned> number{major(status.st_rdev), minor(status.st_rdev)};
    const bool is_device = type != 'p' && (node.type == 0 || node.type == type);
    if (is_device && (!node.number || *node.number == number)) return;
    throw Error(ErrorCode::invalid_input, base::quoted(node.host_path) +
                                              " is not what the CDI spec of " +
                                              base::quoted(device.name) + " says")
        .note("CDI spec: " + device.file);
  }

  sandbox::Spec& spec_;
  const base::RootedDirectory host_;
  std::vector<sandbox::Mount> mounts_;
  std::vector<base::FileDescriptor> files_;
};

void note_unknown(const CdiDevice& device, const std::function<void(const std::string&)>& note) {
  std::set<std::string> unknown(device.own.unknown.begin(), device.own.unknown.end());
  unknown.insert(device.common->unknown.begin(), device.common->unknown.end());
  const std::string of = " of the device " + base::quoted(device.name) + " ";
  for (const std::string& key : unknown)
    if (key == "hooks")
      note("the hooks" + of +
           "are not run: if its libraries are not found, begin the command with ldconfig");
    else
      note(base::quoted(key) + of + "is not known and has no effect");
}

}  // namespace

DeviceTable::DeviceTable(std::span<const plan::BuildPlan> plans,
                         const std::vector<std::filesystem::path>& directories,
                         const DeviceGrants& grants) {
  bool read = false;
  for (const plan::BuildPlan& plan : plans)
    for (const plan::Step& step : plan.steps) {
      const auto* run = std::get_if<plan::Run>(&step.operation);
      if (run == nullptr || run->devices.empty()) continue;
      try {
        if (!read) devices_ = CdiDevices(directories);
        read = true;
        for (const dockerfile::RunDevice& request : run->devices) look_up(request, grants);
      } catch (Error& error) {
        error.set_location(step.where);
        throw;
      }
    }
}

DeviceTable::DeviceTable(std::span<const std::string> names,
                         const std::vector<std::filesystem::path>& directories) {
  if (names.empty()) return;
  devices_ = CdiDevices(directories);
  for (const std::string& name : names) look_up({.name = name, .required = true}, {.all = true});
}

void DeviceTable::look_up(const dockerfile::RunDevice& request, const DeviceGrants& grants) {
  const auto alias = std::ranges::find_if(grants.devices, [&](const DeviceGrants::Device& device) {
    return device.alias == request.name;
  });
  const bool renamed = alias != grants.devices.end();
  std::vector<const CdiDevice*> found = devices_.find(renamed ? alias->name : request.name);
  if (found.empty() && request.required) {
    Error error(ErrorCode::not_found,
                "the device " + base::quoted(request.name) + " is not known on this machine");
    error.add_note(devices_.description());
    if (const std::string near = base::nearest(request.name, devices_.names()); !near.empty())
      error.set_hint("did you mean " + base::quoted(near) + "?");
    throw error;
  }
  if (!renamed) check_granted(found, grants);
  found_[request.name] = std::move(found);
}

void DeviceTable::check_granted(const std::vector<const CdiDevice*>& devices,
                                const DeviceGrants& grants) const {
  if (grants.all) return;
  std::set<const CdiDevice*> granted;
  for (const DeviceGrants::Device& grant : grants.devices)
    for (const CdiDevice* device : devices_.find(grant.name)) granted.insert(device);
  for (const CdiDevice* device : devices)
    if (!granted.contains(device) && !allowed_by_spec(*device))
      throw Error(ErrorCode::denied,
                  "RUN --device is not allowed to use " + base::quoted(device->name))
          .hint("to grant it add --allow device=" + device->name);
}

std::vector<base::FileDescriptor> add_devices(std::span<const dockerfile::RunDevice> requests,
                                              const DeviceTable& devices, sandbox::Spec& spec,
                                              const std::function<void(const std::string&)>& note) {
  if (requests.empty()) return {};
  DeviceEdits edits(spec);
  std::set<const CdiDevice*> done;
  std::set<const CdiEdits*> common;
  for (const dockerfile::RunDevice& request : requests) {
    const std::vector<const CdiDevice*>& found = devices.of(request.name);
    if (found.empty())
      note("the device " + base::quoted(request.name) + " is not known on this machine");
    for (const CdiDevice* device : found) {
      if (!done.insert(device).second) continue;
      if (common.insert(device->common.get()).second) edits.add(*device->common, *device);
      edits.add(device->own, *device);
      note_unknown(*device, note);
    }
  }
  return std::move(edits).finish();
}

std::vector<base::FileDescriptor> add_devices(const StepSettings& settings, sandbox::Spec& spec,
                                              const std::function<void(const std::string&)>& note) {
  const DeviceTable table(settings.cdi_devices, settings.cdi_directories);
  std::vector<dockerfile::RunDevice> requests;
  for (const std::string& name : settings.cdi_devices) requests.push_back({.name = name});
  std::vector<base::FileDescriptor> files = add_devices(requests, table, spec, note);
  for (base::FileDescriptor& file : add_host_devices(settings, spec))
    files.push_back(std::move(file));
  return files;
}

}  // namespace strake::builder
