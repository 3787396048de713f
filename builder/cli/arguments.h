#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "builder/cli/progress.h"
#include "builder/cli/remote_commands.h"
#include "builder/exec/build.h"
#include "builder/exec/image_run.h"
#include "builder/sandbox/isolation.h"
#include "cache/prune.h"
#include "layers/oci/platform.h"
#include "layers/oci/reference.h"

namespace strake::cli {

struct BuildCommand {
  builder::BuildRequest request;
  bool dockerfile_from_stdin = false;
  bool quiet = false;
  bool shell_on_error = false;                             // --on-error=shell
  std::filesystem::path iid_file, metadata_file, profile;  // "" for none
};
enum class CheckFormat { text, json, sarif };
/// "check", and "build --check": only the parts of the request that say what to build.
struct CheckCommand {
  builder::BuildRequest request;  // its context is "" when there is none
  bool dockerfile_from_stdin = false;
  CheckFormat format = CheckFormat::text;
  bool findings_are_errors = false;
  bool list = false;                   // the rules
  std::optional<std::string> explain;  // a rule
};
struct RunCommand {
  std::string image;  // a name, or the beginning of an id
  builder::PullPolicy pull = builder::PullPolicy::missing;
  std::optional<oci::Platform> platform;
  builder::ImageRunRequest request;  // but for its interaction
  bool interactive = false, terminal = false;
  std::optional<int> stop_signal;  // nullopt: the image's
  bool quiet = false;
};
struct PushCommand {
  std::vector<oci::Reference> names;
  /// The tag of an index that several jobs make together, each pushing its own platforms; `names`
  /// is one image then.
  std::optional<oci::Reference> into;
  std::vector<oci::Platform> required;    // what `into` is to have; empty for what there is
  std::optional<oci::Platform> platform;  // of the image, for `into`
  oci::Compression compression = oci::Compression::gzip;
  std::optional<int> compression_level;
  bool quiet = false;
};
struct PullCommand {
  std::vector<oci::Reference> names;
  std::optional<oci::Platform> platform;
  builder::PullPolicy policy = builder::PullPolicy::always;
  bool quiet = false;
};
struct ImportCommand {
  std::string source;  // a rootfs tar; "-" is stdin
  oci::Reference name;
  std::vector<std::string> changes;  // Dockerfile instructions
  std::optional<oci::Platform> platform;
};
struct ImagesCommand {
  std::string pattern;  // repository[:tag], "*" and "?" allowed; "" for all
  OutputFormat format;
  bool quiet = false, digests = false, full_ids = false;
};
struct TagCommand {
  std::string source;  // a name or the beginning of an id
  oci::Reference target;
};
struct RemoveCommand {
  std::vector<std::string> names;
  bool force = false;  // absent ones are fine
};
struct InspectCommand {
  std::vector<std::string> names;
  OutputFormat format{OutputFormat::Kind::json};
  std::optional<oci::Platform> platform;
};
struct HistoryCommand {
  std::string name;
  OutputFormat format;
  bool quiet = false, full_text = false, human = true;
  std::optional<oci::Platform> platform;
};
struct LoginCommand {
  std::string host;
  std::string username;                 // "" asks for it on the terminal
  std::optional<std::string> password;  // nullopt: asked for, or read from stdin
  bool password_from_stdin = false;
};
struct LogoutCommand {
  std::string host;
};
struct PruneCommand {
  cache::PruneOptions options;
};
struct DoctorCommand {
  OutputFormat format;
};
struct VersionCommand {
  OutputFormat format;
};
struct HelpCommand {
  std::string text;
};

using Command =
    std::variant<HelpCommand, VersionCommand, BuildCommand, CheckCommand, RunCommand, PushCommand,
                 PullCommand, ImportCommand, ImagesCommand, TagCommand, RemoveCommand,
                 InspectCommand, HistoryCommand, LoginCommand, LogoutCommand, PruneCommand,
                 DoctorCommand, IndexCreateCommand, IndexRemoveCommand, IndexAnnotateCommand,
                 IndexInspectCommand, CopyCommand, TagsCommand, DeleteCommand, DigestCommand,
                 ReferrersCommand, AttachCommand>;

/// What every verb takes; absent values are for the settings to fill in.
struct CommonOptions {
  std::optional<std::filesystem::path> root;
  std::optional<ProgressMode> progress;
  std::set<std::string> insecure_registries;
  base::LogLevel log_level = base::LogLevel::warning;
  /// Of verbs that work with trees of the store: these have to be on a rung of the sandbox's ladder
  /// before they open it.
  struct IsolationOption {
    std::optional<sandbox::Isolation> wanted;  // nullopt: the best
  };
  std::optional<IsolationOption> isolation;
};

struct Invocation {
  CommonOptions common;
  Command command;
};

/// Looks up an environment variable.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment process_environment();

/// Understands a command line (without the program's name) in strake's words or docker's
/// ("buildx build", "image ls"). Only the options of the verb that is given are ever built.
/// Reads nothing but the --build-arg-file. Throws Error(invalid_input) with a hint for what is not
/// understood.
Invocation parse_arguments(std::span<const std::string> arguments, const Environment& environment);

/// Whether these words are meant for "strake run", also if they make no sense: its errors have an
/// exit status of their own.
bool asks_for_run(std::span<const std::string> arguments);

}  // namespace strake::cli
