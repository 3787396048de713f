#include "builder/plan/platform_args.h"

namespace strake::plan {

std::map<std::string, std::string> platform_args(const oci::Platform& build,
                                                 const oci::Platform& target,
                                                 const std::string& target_stage) {
  std::map<std::string, std::string> args;
  const auto add = [&](const std::string& prefix, const oci::Platform& platform) {
    args[prefix + "PLATFORM"] = platform.str();
    args[prefix + "OS"] = platform.os;
    args[prefix + "ARCH"] = platform.architecture;
    args[prefix + "VARIANT"] = platform.variant;
    args[prefix + "OSVERSION"] = platform.os_version;
  };
  add("BUILD", build);
  add("TARGET", target);
  args["TARGETSTAGE"] = target_stage.empty() ? "default" : target_stage;
  return args;
}

}  // namespace strake::plan
