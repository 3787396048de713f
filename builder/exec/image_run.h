#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "builder/exec/machine.h"
#include "builder/exec/step_settings.h"
#include "builder/sandbox/sandbox.h"
#include "layers/oci/image_config.h"

namespace strake::builder {

/// A file or directory of the machine itself: what the command changes there stays.
struct HostMount {
  std::string source;  // a path as the user wrote it
  std::string target;  // absolute, in the image
  bool read_only = false;
};

/// A directory of the thin layer. With a read-only root it can be written to all the same.
struct OwnDirectory {
  std::string target;
};

using Volume = std::variant<HostMount, sandbox::TmpfsMount, OwnDirectory>;

/// What "strake run" was asked for, besides the image. Absent: as the image's config says.
struct ImageRunRequest {
  std::optional<std::vector<std::string>> entrypoint;  // with it, CMD counts for nothing
  std::vector<std::string> arguments;                  // in place of CMD, if there are any
  /// "NAME=value" sets, "NAME" takes away what the image sets. The last of a name counts.
  std::vector<std::string> env;
  std::optional<std::string> user;         // as in USER
  std::optional<std::string> working_dir;  // absolute
  std::vector<Volume> volumes;
  StepSettings settings;
  bool read_only_root = false;
  bool privileged = false;  // see Spec::insecure
  sandbox::Interaction interaction;
};

/// What is executed: the entrypoint and its arguments. Throws Error(invalid_input) when neither the
/// image nor the request names a command.
std::vector<std::string> command_of(const oci::RunConfig& image, const ImageRunRequest& request);

/// The variables of the command but for HOME: what every container has, the image's, the
/// request's.
std::vector<std::string> environment_of(const oci::RunConfig& image,
                                        const ImageRunRequest& request);

/// Runs a command in an image, on a thin writable layer that is thrown away afterwards: that and
/// the image's layers, which are pulled if they are not here, are all that the store is used for.
/// Throws what resolve_account, RootTree and Sandbox::run throw, and Error(not_found) for the
/// source of a HostMount that is not there.
sandbox::ExitStatus run_image(const oci::ImageConfig& image, const ImageRunRequest& request,
                              Machine& machine, std::stop_token stop);

}  // namespace strake::builder
