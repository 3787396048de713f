#include "builder/sandbox/root_sandbox.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <optional>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/cgroup.h"
#include "builder/sandbox/id_map.h"
#include "builder/sandbox/kernel_mounts.h"
#include "builder/sandbox/oom_watch.h"
#include "builder/sandbox/outward_network.h"
#include "builder/sandbox/owners/owner_supervisor.h"
#include "builder/sandbox/step_outcome.h"
#include "builder/sandbox/step_program.h"
#include "builder/sandbox/step_start.h"
#include "builder/sandbox/step_streams.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::sandbox {
namespace {

using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

void write_map(pid_t pid, const char* name, const IdMap& map) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) throw base::system_error(errno, "open", path);
  base::write_full(file.get(), base::bytes_of(to_text(map)), path);
}

int namespace_flags(const Spec& spec, const Emulation& emulation) {
  int flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
  if (spec.network != Network::host) flags |= CLONE_NEWNET;
  if (emulation.kind == Emulation::Kind::own_instance) flags |= CLONE_NEWUSER;
  return flags;
}

/// The child is released when what only the builder can do for its namespaces is done. `connect`
/// gives its network, if it has one of its own, a way out.
ChildProcess start(ChildPlan& plan, int flags, const std::function<void(pid_t)>& connect) {
  const bool maps = (flags & CLONE_NEWUSER) != 0;
  if (!maps && !connect) return clone_child(plan, flags);
  base::Pipe release = base::make_pipe();
  plan.release_fd = release.read_end.get();
  ChildProcess child = clone_child(plan, flags);
  if (maps) {
    write_map(child.pid(), "uid_map", identity_of(own_user_map()));
    write_map(child.pid(), "gid_map", identity_of(own_group_map()));
  }
  if (connect) connect(child.pid());
  base::write_full(release.write_end.get(), base::bytes_of("!"), "pipe");
  return child;
}

}  // namespace

RootSandbox::RootSandbox(std::chrono::milliseconds grace)
    // Only in a user namespace can the kernel refuse it.
    : own_proc_(is_first_user_namespace() || can_mount_proc()),
      supervision_(needed_supervision()),
      grace_(grace) {
  if (!has_capability(own_capabilities(), CAP_SYS_ADMIN))
    throw Error(ErrorCode::unsupported, "cannot run steps without CAP_SYS_ADMIN")
        .hint("run as root");
  init_program_ = make_init_program();
}

void RootSandbox::check_runnable(const std::string& architecture) const {
  find_emulation(architecture);
}

StepKit RootSandbox::take_kit(const StepKit::Kind& kind) {
  {
    const std::lock_guard lock(kit_mutex_);
    if (kit_ && kit_->kind == kind) {
      StepKit kit = *std::move(kit_);
      kit_.reset();
      return kit;
    }
  }
  return StepKit(kind, devices_);
}

/// For the step after this one, which most likely is of the same kind: here the builder would only
/// wait.
void RootSandbox::prepare_kit(const StepKit::Kind& kind) noexcept {
  try {
    const std::lock_guard lock(kit_mutex_);
    if (!kit_ || kit_->kind != kind) kit_.emplace(kind, devices_);
  } catch (const Error& error) {
    // Whoever needs it makes it himself, and is told why that does not work.
    base::log_debug(std::string("cannot make mounts ahead: ") + error.what());
  }
}

ExitStatus RootSandbox::run(const Spec& spec, base::ByteSink& output, std::stop_token stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "step stopped");
  const Emulation emulation = find_emulation(spec.architecture);
  const FileDescriptor init_plan = make_init_plan(spec, Confinement::namespaces, supervision_);
  // Outlives all processes of the step: its destructor takes the mount points away.
  const StepKit::Kind kind = StepKit::kind_of(spec);
  const RootAssembly root(spec, take_kit(kind));
  const DetachedMount proc = own_proc_ ? DetachedMount() : copy_host_proc();
  StepStreams streams(spec, output, root.terminals());
  base::Pipe status_pipe = base::make_pipe();

  ChildPlan plan;
  root.describe(plan);
  plan.proc_mount = proc.fd();
  plan.status_read = status_pipe.read_end.get();
  plan.status_write = status_pipe.write_end.get();
  plan.stdin_fd = streams.input();
  plan.stdout_fd = streams.output();
  plan.stderr_fd = streams.error();
  plan.hostname = spec.hostname.c_str();
  plan.own_network = spec.network != Network::host;
  plan.guarded = !spec.insecure;
  plan.program_fd = init_program_.get();
  plan.plan_fd = init_plan.get();
  if (!emulation.registration.empty()) plan.binfmt = emulation.registration.c_str();

  // Outlives all processes of the step too: it answers them.
  std::optional<OwnerSupervisor> owners;
  if (supervision_ != Supervision::none) {
    owners.emplace(supervision_, credentials_of(spec.uid, spec.gid, groups_of(spec)));
    plan.supervisor_fd = owners->channel();
  }

  const Cgroup group(spec.resources, spec.resources.any() ? find_cgroups() : CgroupPlaces());
  plan.groups = group.entries();
  std::optional<OutwardNetwork> network;
  std::function<void(pid_t)> connect;
  if (spec.network == Network::outward)
    connect = [&](pid_t child) { network.emplace(find_network_program(), spec, child); };

  ChildProcess init = start(plan, namespace_flags(spec, emulation), connect);
  // The child has its own copies; with ours the pipes would never end.
  status_pipe.write_end.reset();
  if (owners) owners->close_channel();
  streams.close_far_ends();
  // While the command starts: it has not used up the memory of the machine yet.
  const OomWatch machine;
  prepare_kit(kind);
  const Outcome outcome =
      supervise(std::move(init), std::move(status_pipe.read_end), streams.flows(),
                {.polite = stop,
                 .urgent = urgent_.get_token(),
                 .grace = grace_,
                 .at_terminal = spec.interaction && spec.interaction->terminal,
                 .timeout = spec.timeout});
  if (outcome.stopped) throw Error(ErrorCode::cancelled, "step stopped");
  ExitStatus status = exit_status(spec, outcome, [&root](int index) {
    return root.target_of(static_cast<std::size_t>(index));
  });
  add_limits_met(status, group, machine);
  status.touched = root.touched();
  return status;
}

}  // namespace strake::sandbox
