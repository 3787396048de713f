#include "builder/exec/run_command.h"

#include <fcntl.h>

#include "builder/exec/accounts.h"
#include "builder/exec/redacting_sink.h"
#include "builder/sandbox/sandbox.h"
#include "layers/base/error.h"

namespace strake::builder {
namespace {

using base::Error;

/// A RUN's output on its way to the display.
class OutputSink final : public base::ByteSink {
 public:
  OutputSink(Progress& progress, TaskId task) : progress_(progress), task_(task) {}
  void write(std::span<const std::byte> bytes) override { progress_.output(task_, bytes); }

 private:
  Progress& progress_;
  TaskId task_;
};

bool has_variable(const std::vector<std::string>& env, std::string_view name) {
  const std::string prefix = std::string(name) + "=";
  for (const std::string& variable : env)
    if (variable.starts_with(prefix)) return true;
  return false;
}

sandbox::Spec spec_of(const plan::Run& run, const Account& account, const BuildRequest& request) {
  sandbox::Spec spec;
  spec.argv = run.argv;
  spec.env = run.env;
  spec.env.insert(spec.env.end(), run.proxy_env.begin(), run.proxy_env.end());
  if (!has_variable(spec.env, "HOME")) spec.env.push_back("HOME=" + account.home);
  spec.uid = account.uid;
  spec.gid = account.gid;
  spec.groups.assign(account.groups.begin(), account.groups.end());
  spec.working_dir = run.working_dir;
  spec.architecture = run.architecture;
  if (!run.hostname.empty()) spec.hostname = run.hostname;
  apply(request.steps, spec);
  if (!run.network) spec.network = sandbox::Network::none;
  if (run.host_network) spec.network = sandbox::Network::host;
  spec.insecure = run.insecure;
  return spec;
}

/// What the command must not show.
std::vector<std::string_view> secrets_of(const plan::Run& run, Secrets& secrets) {
  std::vector<std::string_view> contents;
  for (const plan::Mount& mount : run.mounts) {
    if (mount.options.type != dockerfile::MountType::secret) continue;
    if (const std::string* content = secrets.find(mount.options.id)) contents.push_back(*content);
  }
  return contents;
}

}  // namespace

void run_command(const plan::Run& run, layers::RootTree& root, const MountSources& sources,
                 const CommandSite& site) {
  const auto& [request, machine, secrets, devices, task, stop] = site;
  const Account account = resolve_account(root.root(), run.user);
  base::FileDescriptor upper;
  if (const auto path = root.upper())
    upper = base::FileDescriptor(::open(path->c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  sandbox::Spec spec = spec_of(run, account, request);
  spec.rootfs_fd = root.fd();
  spec.upper_fd = upper.get();

  const auto note = [&site](const std::string& line) {
    site.machine.progress.note(site.task, line);
  };
  const RunMounts mounts(run, sources, machine, {secrets, request.agents}, stop, note);
  mounts.add_to(spec);
  const auto device_files = add_devices(run.devices, devices, spec, note);
  const auto host_device_files = add_host_devices(request.steps, spec);
  for (const plan::InlineFile& script : run.scripts)
    spec.mounts.push_back(sandbox::InlineFile{.target = "/dev/pipes/" + script.name,
                                              .content = script.content,
                                              .mode = 0755,
                                              .secret = false});

  OutputSink display(machine.progress, task);
  RedactingSink output(display, secrets_of(run, secrets));
  const sandbox::ExitStatus status = machine.sandbox.run(spec, output, stop);
  output.finish();
  root.disregard(status.touched);
  if (status.success()) return;
  const Error error = failure(status, request.steps);
  if (request.on_failed_step)
    request.on_failed_step({error, task, spec, run.shell, machine.sandbox, stop});
  throw error;
}

}  // namespace strake::builder
