#include <algorithm>
#include <array>

#include "builder/cli/grants.h"
#include "builder/cli/output_spec.h"
#include "builder/cli/step_options.h"
#include "builder/cli/verbs.h"
#include "layers/base/error.h"
#include "layers/base/files.h"

namespace strake::cli {
namespace {

using builder::BuildRequest;
using builder::OutputSpec;

base::Error invalid(std::string message) {
  return base::Error(base::ErrorCode::invalid_input, std::move(message));
}

/// The words of the line, before they mean anything.
struct BuildWords {
  std::vector<std::string> tags, build_args, platforms, outputs, labels, annotations;
  std::vector<std::string> secrets, agents, allow, contexts, no_cache_filters;
  std::optional<std::string> file, build_arg_file, target, pull, compression;
  std::optional<std::string> compression_level, jobs, iid_file, metadata_file, provenance, sbom;
  std::optional<std::string> on_error, profile;
  bool push = false, load = false, no_cache = false, quiet = false, dry_run = false;
  bool explain_cache = false, check = false;
  std::optional<std::string> call;
};

struct Refusal {
  const char* name;
  const char* reason;
};
// Docker's options that would change the result. Ignoring them would build something else than was
// asked for.
constexpr std::array kRefusals = std::to_array<Refusal>({
    {"--cache-from", "the cache is the local store; this version imports no other"},
    {"--cache-to", "the cache is the local store; this version exports it nowhere"},
    {"--squash", "layers are what makes the cache and pushes fast"},
    {"--cpu-rt-period", "steps have no real-time scheduling"},
    {"--cpu-rt-runtime", "steps have no real-time scheduling"},
    {"--cgroup-parent", "steps run below the cgroup that strake was started in"},
    {"--print", "use --call"},
    {"--attest", "this version makes no attestations"},
    {"--policy", "this version knows no source policies"},
});

void declare(OptionSet& options, BuildWords& words) {
  options.section("Image");
  options.list("-t,--tag", "NAME", words.tags, "Name of the image (repeatable)");
  options.text("-f,--file", "FILE", words.file,
               "The Dockerfile, or its URL (default: PATH/Dockerfile); - is stdin");
  options.list("--build-arg", "NAME=VALUE", words.build_args,
               "Value of an ARG; without \"=\" from the environment");
  options.text("--build-arg-file", "FILE", words.build_arg_file,
               "Lines NAME=VALUE, each as a --build-arg");
  options.text("--target", "STAGE", words.target, "The stage to build (default: the last)");
  options.list("--platform", "OS/ARCH,...", words.platforms,
               "Platforms to build for (default: this machine's)");
  options.list("--label", "NAME=VALUE", words.labels, "Label of the image (repeatable)");
  options.list("--annotation", "[WHERE:]KEY=VALUE", words.annotations,
               "WHERE is manifest[OS/ARCH] (default), index, ...-descriptor");

  options.section("Result");
  options.flag("--push", words.push, "Push the image under its names");
  options.flag("--load", words.load, "Keep the image in the local store (the default)");
  options.list("-o,--output", "OUTPUT", words.outputs,
               "Where the image goes (repeatable); see below");
  options.epilogue(
      "Outputs: -o DIRECTORY writes the image's files; -o type=oci,dest=FILE (tar=false: "
      "DIRECTORY) an\n"
      "OCI layout; -o type=docker,dest=FILE what \"docker load\" takes; -o type=tar,dest=FILE the "
      "files\n"
      "as a tar; -o type=image,name=NAME,push=true a name and a push. A dest of \"-\" is stdout.\n"
      "The id of the image is printed on stdout, everything else on stderr.");
  options.text("--compression", "KIND", words.compression,
               "Of pushed and exported layers: gzip, zstd, none");
  options.text("--compression-level", "N", words.compression_level, "gzip 0-12, zstd 1-22");
  options.text("--iidfile", "FILE", words.iid_file, "Write the image's id to FILE");
  options.text("--metadata-file", "FILE", words.metadata_file,
               "Write digests and names to FILE, as JSON");

  options.section("Build");
  options.flag("--no-cache", words.no_cache, "Run every step again");
  options.list("--no-cache-filter", "STAGE,...", words.no_cache_filters,
               "Run every step of these stages again");
  options.optional_text("--pull", "WHEN", "always", words.pull,
                        "Look up base images: always, newer, missing, never");
  options.list("--build-context", "NAME=WHERE", words.contexts,
               "Directory, git or http URL, docker-image://, oci-layout://, target:");
  options.list("--secret", "id=ID[,src=FILE|env=NAME]", words.secrets,
               "Secret for RUN --mount=type=secret (repeatable)");
  options.list("--ssh", "default|ID[=SOCKET]", words.agents,
               "ssh agent for RUN --mount=type=ssh (repeatable)");
  options.list("--allow", "RIGHT", words.allow,
               "Grant security.insecure, network.host, device[=NAME] (repeatable)");
  options.text("--jobs", "N", words.jobs, "Steps that run at once (default: processors, at least 4)");
  options.flag("--dry-run", words.dry_run, "Print what would be done, and do nothing");
  options.text("--on-error", "WHAT", words.on_error,
               "When a RUN fails: stop (the default), or shell to look around there");
  options.flag("--explain-cache", words.explain_cache,
               "Say for each step that is not cached what changed");
  options.text("--profile", "FILE", words.profile,
               "Write what each thread did to FILE, as a Chrome trace");

  options.flag("--check", words.check, "Check the Dockerfile, and build nothing");
  options.text("--call", "METHOD", words.call, "build, or check as --check does");

  for (const char* names : {"--rm", "--force-rm", "--disable-content-trust", "--compress"})
    options.accept_flag(names);
  options.accept_value("--builder");
  options.optional_text("--provenance", "WORD", "true", words.provenance, "");
  options.optional_text("--sbom", "WORD", "true", words.sbom, "");
  for (const Refusal& refusal : kRefusals) options.refuse(refusal.name, refusal.reason);
}

/// Flags whose harmless values are accepted and whose others are not.
void check_harmless(const BuildWords& words) {
  if (words.provenance.value_or("false") != "false")
    throw invalid("flag \"--provenance\" is not supported: this version makes no attestations")
        .hint("use --provenance=false");
  if (words.sbom.value_or("false") != "false")
    throw invalid("flag \"--sbom\" is not supported: this version makes no attestations")
        .hint("use --sbom=false");
}

std::pair<std::string, std::string> split_at_equals(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return {text, ""};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

}  // namespace

void add_build_arg(BuildRequest& request, const std::string& text, const VerbContext& context) {
  const auto [name, value] = split_at_equals(text);
  if (name.empty()) throw invalid("build argument " + base::quoted(text) + " has no name");
  if (text.size() != name.size()) {
    request.build_args[name] = value;
  } else if (const auto inherited = context.environment(name)) {
    request.build_args[name] = *inherited;
  }
}

namespace {

void add_build_arg_file(BuildRequest& request, const std::string& file,
                        const VerbContext& context) {
  const std::optional<std::string> content = base::read_file(file, 1 << 20);
  if (!content)
    throw base::Error(base::ErrorCode::not_found,
                      "cannot read " + base::quoted(file) + ": no such file");
  std::size_t begin = 0;
  while (begin < content->size()) {
    const std::size_t end = std::min(content->find('\n', begin), content->size());
    std::string line = content->substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && line[0] != '#') add_build_arg(request, line, context);
    begin = end + 1;
  }
}

/// Whether a shell is wanted.
bool parse_on_error(const std::string& word) {
  if (word == "shell" || word == "stop") return word == "shell";
  throw invalid("--on-error " + base::quoted(word) + " is not known").hint("use stop or shell");
}

void set_platforms(BuildRequest& request, const BuildWords& words, const VerbContext& context) {
  std::vector<std::string> lists = words.platforms;
  if (lists.empty())
    if (const auto fallback = context.environment("DOCKER_DEFAULT_PLATFORM"))
      lists.push_back(*fallback);
  for (const std::string& list : lists) {
    for (const std::string& word : split_csv(list)) {
      if (word.empty() || word == "local") continue;
      const oci::Platform platform = oci::parse_platform(word);
      if (std::find(request.platforms.begin(), request.platforms.end(), platform) ==
          request.platforms.end())
        request.platforms.push_back(platform);
    }
  }
}

void set_outputs(BuildRequest& request, const BuildWords& words) {
  std::optional<oci::Compression> compression;
  if (words.compression) compression = parse_compression(*words.compression);
  for (const std::string& text : words.outputs) {
    ParsedOutput parsed = parse_output(text);
    request.outputs.insert(request.outputs.end(), parsed.outputs.begin(), parsed.outputs.end());
    if (parsed.compression && compression && *parsed.compression != *compression)
      throw invalid("outputs ask for different compressions; a build has one");
    if (parsed.compression) compression = parsed.compression;
    if (parsed.compression_level) request.compression_level = parsed.compression_level;
  }
  request.compression = compression.value_or(oci::Compression::gzip);
  if (words.compression_level)
    request.compression_level =
        parse_compression_level(*words.compression_level, request.compression);
  if (words.load) request.outputs.push_back({.kind = OutputSpec::Kind::image});
  if (words.push) request.outputs.push_back({.kind = OutputSpec::Kind::registry});
}

void check_outputs(const BuildRequest& request) {
  int to_stdout = 0;
  for (const OutputSpec& output : request.outputs) {
    if (output.kind == OutputSpec::Kind::registry && output.names.empty() && request.tags.empty())
      throw invalid("a push needs a name").hint("add \"-t REGISTRY/NAME:TAG\"");
    if (output.kind == OutputSpec::Kind::docker && request.platforms.size() > 1)
      throw invalid("output type=docker holds one platform, the build makes several")
          .hint("use type=oci");
    to_stdout += output.dest == "-" ? 1 : 0;
  }
  if (to_stdout > 1) throw invalid("only one output can go to stdout");
}

/// Docker's switches among the build arguments.
bool is_true(const std::map<std::string, std::string>& build_args, const std::string& name) {
  const auto given = build_args.find(name);
  return given != build_args.end() && (given->second == "1" || given->second == "true");
}

/// Seconds since 1970, or "context", from the build argument, else from the environment. As with
/// docker's client the latter counts as a build argument: a stage that declares it sees it.
void set_source_date_epoch(BuildRequest& request, const VerbContext& context) {
  static const std::string kName = "SOURCE_DATE_EPOCH";
  if (const auto inherited = context.environment(kName); inherited && !inherited->empty())
    request.build_args.try_emplace(kName, *inherited);
  const auto argument = request.build_args.find(kName);
  if (argument == request.build_args.end() || argument->second.empty()) return;
  request.epoch_of_context = argument->second == "context";
  if (!request.epoch_of_context)
    request.source_date_epoch =
        parse_number(argument->second, 0, 253'402'300'799, kName);  // year 9999
}

void set_context(BuildCommand& command, const std::string& operand) {
  if (operand == "-" && command.dockerfile_from_stdin)
    throw invalid("stdin cannot be both the Dockerfile and the context");
  if (operand.empty())
    throw invalid("the context is an empty word").hint("write \".\" for the current directory");
  command.request.context = operand;
}

void set_annotations(BuildRequest& request, const BuildWords& words) {
  using builder::AnnotationPlace;
  const bool has_index = request.platforms.size() > 1 || request.always_index;
  for (const std::string& text : words.annotations)
    for (builder::Annotation& annotation :
         builder::parse_annotations(text, AnnotationPlace::manifest)) {
      const bool is_of_index = annotation.place == AnnotationPlace::index ||
                               annotation.place == AnnotationPlace::index_descriptor;
      if (is_of_index && !has_index)
        throw invalid("annotation " + base::quoted(text) +
                      " is for an index: an image of one platform has none")
            .hint("leave out \"index:\", or build for several platforms");
      request.annotations.push_back(std::move(annotation));
    }
}

}  // namespace

builder::PullPolicy parse_pull_policy(const std::string& word) {
  if (word == "always" || word == "true" || word == "1") return builder::PullPolicy::always;
  if (word == "missing" || word == "false" || word == "0") return builder::PullPolicy::missing;
  if (word == "newer") return builder::PullPolicy::newer;
  if (word == "never") return builder::PullPolicy::never;
  throw invalid("pull policy " + base::quoted(word) + " is not known")
      .hint("use always, newer, missing or never");
}

Command parse_build(VerbContext& context) {
  BuildWords words;
  StepOptions steps;
  OptionSet options("build", "PATH | URL | -",
                    "Builds an image from a Dockerfile and the files in PATH, of a git repository\n"
                    "or archive at URL, or of an archive on stdin.");
  declare(options, words);
  steps.declare(options);
  BuildCommand command;
  context.add_isolation_option(options);
  context.add_registry_options(options);
  context.add_display_options(options, command.quiet);
  if (!context.parse(options)) return HelpCommand{options.help()};
  check_harmless(words);

  BuildRequest& request = command.request;
  if (words.file == "-")
    command.dockerfile_from_stdin = true;
  else
    request.dockerfile = words.file.value_or("");
  set_context(command, options.operands(1, 1).front());
  for (const std::string& tag : words.tags) request.tags.push_back(oci::parse_reference(tag));
  if (words.build_arg_file) add_build_arg_file(request, *words.build_arg_file, context);
  for (const std::string& text : words.build_args) add_build_arg(request, text, context);
  for (const std::string& text : words.labels) request.labels.push_back(split_at_equals(text));
  const Environment environment = [&](const std::string& name) {
    return context.environment(name);
  };
  for (const std::string& text : words.contexts)
    request.contexts.push_back(builder::parse_named_context(text));
  for (const std::string& text : words.secrets)
    request.secrets.push_back(parse_secret(text, environment));
  for (const std::string& text : words.agents)
    request.agents.push_back(parse_agent(text, environment));
  for (const std::string& text : words.allow) add_entitlements(text, request.allow);
  request.target = words.target.value_or("");
  set_platforms(request, words, context);
  set_outputs(request, words);
  check_outputs(request);
  request.steps = steps.settings(environment);
  set_source_date_epoch(request, context);
  request.pull = parse_pull_policy(words.pull.value_or("missing"));
  request.no_cache = words.no_cache;
  for (const std::string& list : words.no_cache_filters)
    for (const std::string& stage : split_csv(list)) request.no_cache_stages.push_back(stage);
  request.always_index = is_true(request.build_args, "BUILDKIT_MULTI_PLATFORM");
  set_annotations(request, words);
  request.dry_run = words.dry_run;
  request.explain_cache = words.explain_cache;
  if (words.jobs)
    request.jobs = static_cast<std::size_t>(parse_number(*words.jobs, 1, 1024, "--jobs"));
  command.shell_on_error = parse_on_error(words.on_error.value_or("stop"));
  command.iid_file = words.iid_file.value_or("");
  command.metadata_file = words.metadata_file.value_or("");
  if (words.profile && words.profile->empty()) throw invalid("--profile needs the name of a file");
  command.profile = words.profile.value_or("");
  const auto check = parse_call(words.call.value_or(words.check ? "check" : "build"));
  if (check) return CheckCommand{request, command.dockerfile_from_stdin, *check};
  return command;
}

}  // namespace strake::cli
