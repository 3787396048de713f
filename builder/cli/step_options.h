#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/cli/arguments.h"
#include "builder/cli/option_set.h"
#include "builder/exec/step_settings.h"

namespace strake::cli {

/// The options about commands in the sandbox, which every verb with such commands has: --network,
/// --memory, --ulimit, --cap-add, --security-opt, --device, --gpus, --dns, --step-timeout and so
/// on. The object must outlive the OptionSet.
class StepOptions {
 public:
  /// Declares them, with headings of their own in the help.
  void declare(OptionSet& options);

  /// What they say, after parsing, and STRAKE_CDI_DIRS. Throws Error(invalid_input) naming the
  /// option, and Error(unsupported) for what no step can have.
  builder::StepSettings settings(const Environment& environment) const;

 private:
  sandbox::ResourceLimits resources() const;

  std::optional<std::string> network_, hostname_, memory_, memory_swap_, cpus_, cpu_period_,
      cpu_quota_, cpu_shares_, cpuset_cpus_, cpuset_mems_, pids_limit_, shm_size_, timeout_, gpus_;
  std::vector<std::string> add_hosts_, dns_, dns_search_, dns_options_, ulimits_, cap_add_,
      cap_drop_, security_, devices_;
};

/// Docker's "NAME=SOFT[:HARD]". Throws Error(invalid_input).
sandbox::Ulimit parse_ulimit(std::string_view text);

/// Docker's --cap-add and --cap-drop: names with or without "CAP_" in any case, or ALL. What is
/// added wins over what is dropped, unless ALL is added. Throws Error(invalid_input).
sandbox::CapabilityChanges parse_capabilities(const std::vector<std::string>& add,
                                              const std::vector<std::string>& drop);

/// Docker's --gpus: "all", a number, "device=0,1", as names of CDI devices. Throws
/// Error(invalid_input).
std::vector<std::string> parse_gpus(std::string_view text);

}  // namespace strake::cli
