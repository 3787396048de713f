#include "builder/sandbox/chroot_sandbox.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include <atomic>
#include <cerrno>
#include <utility>

#include "builder/sandbox/capabilities.h"
#include "builder/sandbox/chroot_places.h"
#include "builder/sandbox/emulation.h"
#include "builder/sandbox/landlock.h"
#include "builder/sandbox/oom_watch.h"
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

Error refused(const std::string& what) {
  return Error(ErrorCode::unsupported, what + " is not possible in a plain chroot")
      .hint("allow user namespaces or CAP_SYS_ADMIN to the container (see strake doctor)");
}

void require_possible(const Spec& spec) {
  if (spec.network != Network::host) throw refused("a network of the step's own");
  if (spec.insecure) throw refused("an insecure step");
  if (spec.all_system_calls) throw refused("a step without a filter of system calls");
  if (spec.capabilities.add != 0) throw refused("giving a step more capabilities");
  if (spec.resources.any()) throw refused("limiting the resources of a step");
  if (spec.hostname != Spec{}.hostname) throw refused("a host name of the step's own");
  if (spec.shm_size_bytes != Spec{}.shm_size_bytes) throw refused("another size of /dev/shm");
  if (spec.read_only_root) throw refused("a read-only root");
  if (spec.interaction && spec.interaction->terminal) throw refused("a terminal");
}

void explain_once() {
  static std::atomic_flag explained;
  if (!explained.test_and_set())
    base::log_warning(
        "steps run in a plain chroot: without /proc and /sys, with the pids and the network of "
        "the builder");
}

}  // namespace

ChrootSandbox::ChrootSandbox(std::chrono::milliseconds grace) : grace_(grace) {
  if (!has_capability(own_capabilities(), CAP_SYS_CHROOT))
    throw Error(ErrorCode::unsupported, "cannot run steps without CAP_SYS_CHROOT")
        .hint("give the container CAP_SYS_CHROOT, or allow user namespaces");
  // There is no pid namespace between the step and us.
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) throw base::system_error(errno, "protect", "the builder");
  init_program_ = make_init_program();
}

void ChrootSandbox::check_runnable(const std::string& architecture) const {
  if (find_emulation(architecture).kind == Emulation::Kind::own_instance)
    throw Error(ErrorCode::unsupported, "programs for " + base::quoted(architecture) +
                                            " cannot be emulated in a plain chroot")
        .hint("register qemu-user on the host (binfmt_misc with flag F), or allow user namespaces");
}

ExitStatus ChrootSandbox::run(const Spec& spec, base::ByteSink& output, std::stop_token stop) {
  if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "step stopped");
  check_runnable(spec.architecture);
  require_possible(spec);
  explain_once();
  const FileDescriptor init_plan = make_init_plan(spec, Confinement::chroot);
  const FileDescriptor files = landlock_ruleset(spec.rootfs_fd);
  // Outlives all processes of the step.
  ChrootPlaces places(spec, spec.rootfs_fd);
  StepStreams streams(spec, output, -1);
  base::Pipe status_pipe = base::make_pipe();

  ChildPlan plan;
  plan.in_chroot = true;
  plan.root_fd = spec.rootfs_fd;
  plan.files_fd = files.get();
  plan.status_read = status_pipe.read_end.get();
  plan.status_write = status_pipe.write_end.get();
  plan.stdin_fd = streams.input();
  plan.stdout_fd = streams.output();
  plan.stderr_fd = streams.error();
  plan.program_fd = init_program_.get();
  plan.plan_fd = init_plan.get();

  const OomWatch memory;
  ChildProcess init = clone_child(plan, 0);
  status_pipe.write_end.reset();
  streams.close_far_ends();
  const Outcome outcome = supervise(
      std::move(init), std::move(status_pipe.read_end), streams.flows(),
      {.polite = stop, .urgent = urgent_.get_token(), .grace = grace_, .timeout = spec.timeout});
  if (outcome.stopped) throw Error(ErrorCode::cancelled, "step stopped");
  ExitStatus status = exit_status(spec, outcome, [](int) { return std::string(); });
  status.oom_killed = was_killed(status) && memory.happened();
  places.restore();
  status.touched = places.touched();
  return status;
}

}  // namespace strake::sandbox
