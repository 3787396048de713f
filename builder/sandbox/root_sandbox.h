#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>

#include "builder/sandbox/emulation.h"
#include "builder/sandbox/owners/calls.h"
#include "builder/sandbox/root_assembly.h"
#include "builder/sandbox/sandbox.h"
#include "builder/sandbox/step_kit.h"
#include "builder/sandbox/supervisor.h"

namespace strake::sandbox {

/// The sandbox of all rungs with CAP_SYS_ADMIN, be it the machine's or that of the builder's own
/// user namespace: private namespaces, an overlay or any other mount as the root. Foreign
/// architectures run in a user namespace of the builder's own ids, which exists to own a
/// binfmt_misc instance.
class RootSandbox final : public Sandbox {
 public:
  /// `grace` is the time between SIGTERM and SIGKILL. Throws Error(unsupported) without
  /// CAP_SYS_ADMIN.
  explicit RootSandbox(std::chrono::milliseconds grace = std::chrono::seconds(10));

  ExitStatus run(const Spec& spec, base::ByteSink& output, std::stop_token stop) override;
  void kill_now() noexcept override { urgent_.request_stop(); }
  void check_runnable(const std::string& architecture) const override;

 private:
  StepKit take_kit(const StepKit::Kind& kind);
  void prepare_kit(const StepKit::Kind& kind) noexcept;

  bool own_proc_;  // else steps get the builder's
  Supervision supervision_;
  HostDevices devices_;
  base::FileDescriptor init_program_;
  std::chrono::milliseconds grace_;
  std::stop_source urgent_;
  std::mutex kit_mutex_;
  std::optional<StepKit> kit_;  // for the next step
};

}  // namespace strake::sandbox
