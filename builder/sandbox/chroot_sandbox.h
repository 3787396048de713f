#pragma once

#include <chrono>
#include <string>

#include "builder/sandbox/sandbox.h"
#include "layers/base/fd.h"

namespace strake::sandbox {

/// The rung for a container of the usual kind, in which neither mounts nor namespaces are allowed,
/// but CAP_SYS_CHROOT is there: the command runs in a changed root, without capabilities that lead
/// out of it, behind a Landlock domain where the kernel has that, and is killed with everything it
/// started by its own subreaper.
///
/// The root is a directory that nobody else uses (Spec::rootfs_fd: any directory). What other rungs
/// mount is put into it and taken out again: see chroot_places.h. /proc and /sys are empty, pids
/// and the network are the builder's. The container around it is the boundary; see README.md.
class ChrootSandbox final : public Sandbox {
 public:
  /// `grace` is the time between SIGTERM and SIGKILL. Throws Error(unsupported) without
  /// CAP_SYS_CHROOT. From then on the builder's memory is no other process's to read.
  explicit ChrootSandbox(std::chrono::milliseconds grace = std::chrono::seconds(10));

  /// Throws Error(unsupported) for what has no place here: devices, a network of its own, rights
  /// beyond the usual, resource limits, a terminal, a read-only root.
  ExitStatus run(const Spec& spec, base::ByteSink& output, std::stop_token stop) override;
  void kill_now() noexcept override { urgent_.request_stop(); }
  void check_runnable(const std::string& architecture) const override;

 private:
  base::FileDescriptor init_program_;
  std::chrono::milliseconds grace_;
  std::stop_source urgent_;
};

}  // namespace strake::sandbox
