#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "builder/context/named_context.h"
#include "builder/exec/failed_step.h"
#include "builder/exec/machine.h"
#include "builder/exec/run_grants.h"
#include "builder/exec/step_settings.h"
#include "builder/output/annotations.h"
#include "layers/base/digest.h"
#include "layers/oci/descriptor.h"
#include "layers/oci/reference.h"

namespace strake::builder {

/// When a base image is looked up in its registry.
enum class PullPolicy {
  missing,  // only if no local image has the name (the default)
  always,   // each build (--pull)
  newer,    // each build, the local one serves when the registry does not answer
  never,    // not even for layers of images that are known: what is not here is an error
};

/// Where the result goes, one "-o".
struct OutputSpec {
  enum class Kind { image, registry, oci, docker, tar, local };
  Kind kind = Kind::image;
  std::string dest;                        // path; "-" is stdout; "" for image and registry
  std::vector<oci::Reference> names = {};  // for image and registry; empty: the tags of the build
  bool push_by_digest = false;
  bool directory = false;  // oci: an image layout directory, not a tar of it
};

/// Rights that a build has only if the user grants them (--allow).
struct Entitlements {
  bool insecure = false;      // security.insecure: RUN --security=insecure
  bool host_network = false;  // network.host: RUN --network=host in builds with another network
  DeviceGrants devices;       // device: RUN --device
};

/// Everything "strake build" was asked for. Paths are as the user wrote them.
struct BuildRequest {
  /// A directory, "-" for stdin (a Dockerfile or an archive), a git repository, or a URL.
  std::string context;
  std::vector<NamedContext> contexts;          // --build-context
  std::filesystem::path dockerfile;            // or a URL; "" finds Dockerfile or Containerfile
  std::optional<std::string> dockerfile_text;  // read from stdin ("-f -")
  std::vector<oci::Reference> tags;
  std::map<std::string, std::string> build_args;
  std::string target;
  std::vector<oci::Platform> platforms;  // empty: this machine's
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<Annotation> annotations;
  StepSettings steps;
  std::vector<SecretSource> secrets;
  std::vector<AgentSource> agents;
  Entitlements allow;
  std::vector<OutputSpec> outputs;  // empty: an image in the store
  oci::Compression compression = oci::Compression::gzip;
  std::optional<int> compression_level;
  std::optional<std::int64_t> source_date_epoch;  // seconds since 1970
  bool epoch_of_context = false;  // SOURCE_DATE_EPOCH=context: the commit's, of a git context
  PullPolicy pull = PullPolicy::missing;
  bool no_cache = false;
  std::vector<std::string> no_cache_stages;  // --no-cache-filter: the steps of these run again
  bool always_index = false;           // an index also for one platform (BUILDKIT_MULTI_PLATFORM)
  bool dry_run = false;                // print the plan, change nothing
  bool explain_cache = false;          // say for each miss what differed
  std::size_t jobs = 0;                // 0: as many as there are processors
  FailureHandler on_failed_step = {};  // --on-error=shell
};

/// One platform's image.
struct BuiltImage {
  oci::Platform platform;
  base::Digest config;                      // the image id
  std::optional<oci::Descriptor> manifest;  // when an output has made it
};

/// The commands of one stage that were run by an emulator.
struct EmulatedStage {
  oci::Platform platform;   // that the commands are for
  std::string stage;        // its name or number
  std::string first_stage;  // where the chain of stages that it grows from begins; often itself
  std::string emulator;     // "qemu-aarch64"
  std::chrono::milliseconds time{};
  bool in_image = false;  // the image grows from that too; else it has copies of files at most
};

struct BuildOutcome {
  std::vector<BuiltImage> images;       // in the order of the platforms asked for
  std::optional<oci::Descriptor> root;  // what a name points at: manifest or index
  std::vector<std::string> pushed;      // names pushed, full form
  std::string plan;                     // with dry_run: the plan as text
  std::vector<EmulatedStage> emulated;  // in the order of the platforms and their steps
};

/// Builds `request` with `machine`. Throws base::Error; nothing is tagged or pushed then. After
/// `stop` is requested it ends with Error(cancelled), leaving neither processes nor mounts.
BuildOutcome build(const BuildRequest& request, Machine& machine, std::stop_token stop);

}  // namespace strake::builder
