#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "builder/dockerfile/instruction.h"
#include "layers/oci/image_config.h"
#include "layers/oci/reference.h"

namespace strake::plan {

/// What a named context (--build-context NAME=…) stands for.
struct FileContext {};  // files; the executor knows where they come from
struct StageContext {
  std::string stage;  // "target:STAGE": a stage of the same Dockerfile
};
struct EmptyContext {};  // scratch
using NamedContext = std::variant<FileContext, EmptyContext, StageContext, oci::Reference>;

/// What planning needs to know beside the Dockerfile.
struct PlanOptions {
  oci::Platform build_platform;   // of this machine
  oci::Platform target_platform;  // of the image
  bool platform_given = false;    // --platform was used: the image's platform is the target's
  std::string target;             // stage name or number; "" is the last stage
  std::map<std::string, std::string> build_args;
  std::vector<std::pair<std::string, std::string>> labels;  // --label
  bool network = true;                                      // default of RUN --network
  bool allow_host_network = true;                           // RUN --network=host is granted
  bool allow_insecure = false;                              // RUN --security=insecure is granted
  std::string hostname = "";                                // of RUN; "": the sandbox's own
  std::string cache_mount_namespace = "";                   // keeps apart cache mounts of one id
  /// By name in lower case, perhaps with "::os/arch" for one platform.
  std::map<std::string, NamedContext> contexts = {};
};

/// An image named in the Dockerfile, before it is pinned.
struct ImageRequest {
  oci::Reference image;
  oci::Platform platform;
  bool operator<(const ImageRequest& other) const;
};

/// An image request answered: pinned to a manifest, with its config.
struct ResolvedImage {
  oci::Reference image;  // digest is set
  oci::ImageConfig config;
};

using ResolvedImages = std::map<ImageRequest, ResolvedImage>;

/// A source of COPY --from or of a mount, or the base of a stage.
struct ScratchBase {};
struct StageBase {
  std::size_t stage;
};
struct ContextBase {
  std::string context;  // key in PlanOptions::contexts
};
using Base = std::variant<ScratchBase, StageBase, ImageRequest, ContextBase>;

/// Where an instruction names a source: COPY --from, or one of the mounts of a RUN.
struct SourcePlace {
  std::size_t instruction;  // position in the stage
  std::size_t mount = 0;    // RUN: position among its mounts
  auto operator<=>(const SourcePlace&) const = default;
};

struct Stage {
  std::size_t number = 0;  // position in the Dockerfile
  std::string name;        // lower case; "" if it has none
  base::SourceRange where;
  oci::Platform platform;
  Base base;
  /// ONBUILD triggers of the base first, then the stage's own instructions.
  std::vector<dockerfile::Instruction> instructions;
  /// What each COPY --from and each from= of a mount in `instructions` names.
  std::map<SourcePlace, Base> sources;
  bool needed = false;  // the target depends on it
  bool base_known =
      true;  // false: its image is not resolved yet, so its ONBUILD triggers are not known

  std::string shown_name() const;  // the name, or "stage-<number>"
};

/// Who needs whom.
struct StageGraph {
  std::vector<Stage> stages;  // in the Dockerfile's order: a stage precedes its users
  std::size_t target = 0;
  std::map<std::string, std::string> global_args;  // values of the ARGs before the first FROM
  char escape = '\\';                              // of the Dockerfile

  /// The external images that needed stages grow from or copy from, each with its first place.
  std::map<ImageRequest, base::SourceRange> required_images() const;
};

/// Reads the stages of `file` for one target platform: expands FROM lines, resolves stage names,
/// marks what the target needs. `images` may lack images (see required_images): their stages then
/// have no ONBUILD triggers yet; call again with them until nothing new is required.
///
/// Throws Error(invalid_input) with the line: unknown target (with the nearest name), bad base
/// name or platform, use of a later stage or of itself, no stage at all.
StageGraph make_graph(const dockerfile::Dockerfile& file, const PlanOptions& options,
                      const ResolvedImages& images);

}  // namespace strake::plan
