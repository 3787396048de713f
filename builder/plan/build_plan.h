#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "builder/dockerfile/run_mount.h"
#include "layers/base/digest.h"
#include "layers/base/error.h"
#include "layers/oci/image_config.h"
#include "layers/oci/reference.h"

namespace strake::plan {

/// Position of a step in its plan.
enum class StepId : std::uint32_t {};

/// The empty file system.
struct Scratch {};

/// A base image, pinned: `image.digest` is its manifest's.
struct FromImage {
  oci::Reference image;
  oci::Platform platform;
  std::vector<base::DiffId> diff_ids;  // bottom layer first
};

/// A file whose content stands in the Dockerfile (here-document).
struct InlineFile {
  std::string name;
  std::string content;
};

/// A RUN --mount: its variables expanded, its defaults filled in.
struct Mount {
  /// `target` is absolute, or "" for a secret that is only a variable; `source` of bind and cache
  /// is an absolute path in `from`.
  dockerfile::Mount options;
  std::optional<StepId> from;  // bind, cache: whose file system `source` is in; none: empty
};

struct Run {
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value", complete but for HOME
  std::vector<std::string>
      proxy_env;            // predefined proxy args: given to the command, not part of the key
  std::string user;         // as in USER
  std::string working_dir;  // absolute
  std::vector<InlineFile> scripts;             // made at /dev/pipes/<name>, mode 0755
  std::vector<Mount> mounts;                   // in the order they are mounted: outer ones first
  std::vector<dockerfile::RunDevice> devices;  // with expanded names
  bool network = true;                         // false: --network=none
  bool host_network = false;                   // --network=host: the host's, whatever others have
  bool insecure = false;                       // --security=insecure: all rights of the builder
  std::string hostname;                        // "": the sandbox's own
  std::string shell;                           // of the stage, for who looks at a failure
  std::string architecture;                    // of the platform the command runs on
};

/// COPY and ADD.
struct Copy {
  std::optional<StepId> from;  // a step's file system; nullopt: a context
  std::string context;         // its name; "" is the build context
  std::vector<std::string> sources;
  bool exact = false;  // the sources are paths, whatever characters they have, not patterns
  std::vector<InlineFile> files;
  std::string destination;  // absolute; a trailing "/" is kept and means a directory
  std::string chown, chmod;
  std::vector<std::string> excludes;
  bool parents = false;  // --parents
  bool link = false;     // --link: the result does not depend on what is below
  bool extract = false;  // ADD: unpack local archives
};

/// ADD of a URL: puts the file at `path` (0600, its time the server's). It is never unpacked here.
struct FetchFile {
  std::string url;
  std::string checksum;  // what the file must be; "" for whatever it is
  std::string path;      // absolute
};

/// ADD of a git repository: puts its files below `path`.
struct FetchGit {
  std::string url;
  std::string checksum;  // of the commit: the beginning of its name
  bool keep_git_dir = false;
  std::string path;  // absolute
};

/// WORKDIR: creates a directory (and its parents) where it is missing.
struct MakeDirectory {
  std::string path;  // absolute
  std::string user;  // its owner, as in USER
};

using Operation = std::variant<Scratch, FromImage, Run, Copy, FetchFile, FetchGit, MakeDirectory>;

/// One change of a file system. Metadata instructions make no step: their effect is in
/// BuildPlan::config.
struct Step {
  StepId id{};
  std::optional<StepId> parent;  // the step whose file system this one extends
  Operation operation;
  std::string stage;  // its stage's name, or number
  std::string label;  // "3/7": position within its stage
  std::string title;  // the instruction as written, on one line
  base::SourceRange where;
};

/// The steps whose results `step` reads: its parent, COPY --from, mounts.
std::vector<StepId> inputs_of(const Step& step);

/// A history entry of the result: of `step`, or metadata only.
struct HistoryEntry {
  std::string created_by;
  std::optional<StepId> step;
};

/// What will be done for one platform: steps in an order where every input precedes its user, only
/// those the target needs, and the image that comes out but for the layers they make.
/// A pure function of Dockerfile, options and resolved bases.
struct BuildPlan {
  oci::Platform platform;
  std::vector<Step> steps;
  std::optional<StepId> result;       // the file system of the image; nullopt: scratch, no step
  oci::ImageConfig config;            // of the result; diff_ids and history are the base image's
  std::vector<HistoryEntry> history;  // what this build adds, oldest first

  const Step& step(StepId id) const { return steps[static_cast<std::size_t>(id)]; }
};

/// The plan as text for --dry-run and golden tests: one line a step, then the image's config.
std::string to_text(const BuildPlan& plan);

}  // namespace strake::plan
