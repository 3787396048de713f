#include "builder/exec/image_run.h"

#include <fcntl.h>

#include <algorithm>

#include "builder/exec/accounts.h"
#include "builder/exec/layer_fetcher.h"
#include "builder/exec/mount_point_layer.h"
#include "builder/exec/run_devices.h"
#include "layers/base/default_path.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/snapshot/root_tree.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

std::string name_of(const std::string& variable) {
  return variable.substr(0, variable.find('='));
}

void set_variable(std::vector<std::string>& env, const std::string& variable) {
  const auto same_name = [name = name_of(variable)](const std::string& other) {
    return name_of(other) == name;
  };
  const auto before = std::find_if(env.begin(), env.end(), same_name);
  if (before != env.end())
    *before = variable;
  else
    env.push_back(variable);
}

void unset_variable(std::vector<std::string>& env, const std::string& name) {
  std::erase_if(env, [&](const std::string& variable) { return name_of(variable) == name; });
}

std::string hostname_of(const ImageRunRequest& request) {
  return request.settings.hostname.empty() ? sandbox::Spec{}.hostname : request.settings.hostname;
}

/// The volumes of a run as mounts of its spec; holds what they refer to.
class Volumes {
 public:
  Volumes(const layers::RootTree& root, bool read_only_root)
      : root_(root), read_only_root_(read_only_root) {}

  void add(const Volume& volume) {
    std::visit([this](const auto& v) { mount(v); }, volume);
  }
  const std::vector<sandbox::Mount>& mounts() const noexcept { return mounts_; }

 private:
  void mount(const HostMount& volume) {
    FileDescriptor source(::open(volume.source.c_str(), O_PATH | O_CLOEXEC));
    if (!source && errno == ENOENT)
      throw Error(ErrorCode::not_found, "cannot mount " + base::quoted(volume.source) +
                                            ": no such file or directory on this machine")
          .hint("create it first: a mistyped path must not become a directory");
    if (!source) throw base::system_error(errno, "open", volume.source);
    mounts_.push_back(sandbox::BindMount{.source_fd = source.get(),
                                         .target = volume.target,
                                         .read_only = volume.read_only,
                                         .recursive = true});
    files_.push_back(std::move(source));
  }

  void mount(const sandbox::TmpfsMount& volume) { mounts_.push_back(volume); }

  void mount(const OwnDirectory& volume) {
    const base::RootedDirectory& root = root_.root();
    const std::string path = root.canonical(volume.target);
    root.make_directories(path, 0755);
    if (!read_only_root_) return;
    const FileDescriptor part = root.open(path, O_PATH | O_DIRECTORY);
    auto clone = sandbox::clone_part(part.get());
    if (!clone)
      throw Error(ErrorCode::unsupported, "this kernel cannot keep the volume " +
                                              base::quoted(volume.target) +
                                              " writable in a read-only root")
          .hint("give the volume a place: --tmpfs " + volume.target + ", or leave out --read-only");
    mounts_.push_back(sandbox::BindMount{.source_fd = clone->get(), .target = volume.target});
    files_.push_back(std::move(*clone));
  }

  const layers::RootTree& root_;
  const bool read_only_root_;
  std::vector<sandbox::Mount> mounts_;
  std::vector<FileDescriptor> files_;
};

/// Where something else is mounted, the image's volume of that place is not needed.
bool is_mounted(const std::vector<Volume>& volumes, const std::string& target) {
  return std::any_of(volumes.begin(), volumes.end(), [&](const Volume& volume) {
    return std::visit([&](const auto& v) { return v.target == target; }, volume);
  });
}

/// All volumes, outer ones first.
std::vector<Volume> volumes_of(const oci::RunConfig& image, const ImageRunRequest& request) {
  std::vector<Volume> volumes = request.volumes;
  for (const std::string& target : image.volumes)
    if (!is_mounted(volumes, target)) volumes.emplace_back(OwnDirectory{target});
  const auto target_of = [](const Volume& volume) -> const std::string& {
    return std::visit([](const auto& v) -> const std::string& { return v.target; }, volume);
  };
  std::stable_sort(volumes.begin(), volumes.end(), [&](const Volume& a, const Volume& b) {
    return target_of(a).size() < target_of(b).size();
  });
  return volumes;
}

}  // namespace

std::vector<std::string> command_of(const oci::RunConfig& image, const ImageRunRequest& request) {
  std::vector<std::string> command = request.entrypoint
                                         ? *request.entrypoint
                                         : image.entrypoint.value_or(std::vector<std::string>{});
  std::vector<std::string> arguments = request.arguments;
  if (arguments.empty() && !request.entrypoint)
    arguments = image.cmd.value_or(std::vector<std::string>{});
  command.insert(command.end(), arguments.begin(), arguments.end());
  if (command.empty())
    throw Error(ErrorCode::invalid_input, "the image names no command to run")
        .hint("give one after the image's name");
  return command;
}

std::vector<std::string> environment_of(const oci::RunConfig& image,
                                        const ImageRunRequest& request) {
  std::vector<std::string> env{"PATH=" + std::string(base::kDefaultPath),
                               "HOSTNAME=" + hostname_of(request)};
  if (request.interaction.terminal) env.emplace_back("TERM=xterm");
  for (const std::string& variable : image.env) set_variable(env, variable);
  for (const std::string& variable : request.env) {
    if (variable.find('=') == std::string::npos)
      unset_variable(env, variable);
    else
      set_variable(env, variable);
  }
  return env;
}

sandbox::ExitStatus run_image(const oci::ImageConfig& image, const ImageRunRequest& request,
                              Machine& machine, std::stop_token stop) {
  sandbox::Spec spec;
  spec.argv = command_of(image.config, request);
  spec.env = environment_of(image.config, request);
  machine.sandbox.check_runnable(image.platform.architecture);

  LayerFetcher(machine, stop).ensure_trees(image.diff_ids);
  const layers::RootTree root = layers::RootTree::for_command(
      machine.store, machine.layers, image.diff_ids, mount_point_layer(machine.store));
  const Account account = resolve_account(root.root(), request.user.value_or(image.config.user));
  const auto is_home = [](const std::string& variable) { return variable.starts_with("HOME="); };
  if (std::none_of(spec.env.begin(), spec.env.end(), is_home))
    spec.env.push_back("HOME=" + account.home);
  spec.rootfs_fd = root.fd();
  spec.uid = account.uid;
  spec.gid = account.gid;
  spec.groups.assign(account.groups.begin(), account.groups.end());
  spec.working_dir = request.working_dir.value_or(image.config.working_dir);
  if (spec.working_dir.empty()) spec.working_dir = "/";
  spec.architecture = image.platform.architecture;
  apply(request.settings, spec);
  spec.read_only_root = request.read_only_root;
  spec.interaction = request.interaction;
  spec.insecure = request.privileged;

  Volumes volumes(root, request.read_only_root);
  for (const Volume& volume : volumes_of(image.config, request)) volumes.add(volume);
  spec.mounts.insert(spec.mounts.end(), volumes.mounts().begin(), volumes.mounts().end());
  const std::vector<FileDescriptor> devices =
      add_devices(request.settings, spec, [](const std::string& line) { base::log_warning(line); });

  base::StringSink nothing;  // gets nothing: the command writes to the user
  return machine.sandbox.run(spec, nothing, stop);
}

}  // namespace strake::builder
