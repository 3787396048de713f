#include "builder/cli/verbs.h"

#include "builder/cli/output_spec.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

base::Error invalid(std::string message) {
  return base::Error(base::ErrorCode::invalid_input, std::move(message));
}

base::LogLevel parse_log_level(const std::string& word) {
  if (word == "debug") return base::LogLevel::debug;
  if (word == "info") return base::LogLevel::info;
  if (word == "warn" || word == "warning") return base::LogLevel::warning;
  if (word == "error" || word == "fatal") return base::LogLevel::error;
  throw invalid("log level " + base::quoted(word) + " is not known")
      .hint("use debug, info, warning or error");
}

/// "24h", "10m30s", "7d" or plain seconds.
std::chrono::seconds parse_duration(const std::string& text) {
  long total = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t unit = text.find_first_not_of("0123456789", at);
    const long count = parse_number(std::string_view(text).substr(at, unit - at), 0, 1'000'000'000,
                                    "a number in duration " + base::quoted(text));
    if (unit == std::string::npos && at == 0) return std::chrono::seconds(count);
    const char letter = unit == std::string::npos ? '?' : text[unit];
    const long seconds = letter == 's'   ? 1
                         : letter == 'm' ? 60
                         : letter == 'h' ? 3600
                         : letter == 'd' ? 86400
                                         : 0;
    if (seconds == 0)
      throw invalid("duration " + base::quoted(text) + " is not understood")
          .hint("write it as 24h");
    total += count * seconds;
    at = unit + 1;
  }
  if (text.empty()) throw invalid("duration is empty").hint("write it as 24h");
  return std::chrono::seconds(total);
}

/// "10GB", "512MiB", "1.5g" or plain bytes. Decimal units, as docker's.
std::uint64_t parse_size(const std::string& text) {
  const std::size_t unit_at = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string unit = text.substr(unit_at);
  for (char& c : unit) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  std::uint64_t factor = 0;
  const std::string_view letters = "kmgt";
  if (unit.empty() || unit == "b") factor = 1;
  const std::size_t power = unit.empty() ? std::string_view::npos : letters.find(unit[0]);
  const std::string rest = unit.empty() ? "" : unit.substr(1);
  if (power != std::string_view::npos && (rest.empty() || rest == "b" || rest == "ib")) {
    factor = 1;
    for (std::size_t i = 0; i <= power; ++i) factor *= rest == "ib" ? 1024 : 1000;
  }
  if (factor == 0 || unit_at == 0)
    throw invalid("size " + base::quoted(text) + " is not understood").hint("write it as 10GB");
  const long count = parse_number(std::string_view(text).substr(0, unit_at), 0, 1'000'000'000,
                                  "a number in size " + base::quoted(text));
  return static_cast<std::uint64_t>(count) * factor;
}

void set_filter(PruneCommand& command, const std::string& filter) {
  if (filter.starts_with("until=")) {
    command.options.older_than = parse_duration(filter.substr(6));
  } else {
    throw invalid("filter " + base::quoted(filter) + " is not supported")
        .hint("use until=DURATION, such as until=24h");
  }
}

}  // namespace

OutputFormat parse_format(const std::optional<std::string>& word, OutputFormat::Kind otherwise) {
  if (!word || word->empty()) return {otherwise};
  if (*word == "table") return {OutputFormat::Kind::table};
  if (*word == "json") return {OutputFormat::Kind::json};
  if (word->find("{{") == std::string::npos || word->starts_with("table "))
    throw invalid("format " + base::quoted(*word) + " is not supported")
        .hint("use \"json\" or a template as '{{.Id}}'");
  return {OutputFormat::Kind::go_template, *word};
}

OutputFormat parse_plain_format(const std::optional<std::string>& word) {
  OutputFormat format = parse_format(word, OutputFormat::Kind::table);
  if (format.kind == OutputFormat::Kind::go_template)
    throw invalid("templates are not supported here").hint("use --format json");
  return format;
}

std::vector<oci::Reference> parse_references(const std::vector<std::string>& names) {
  std::vector<oci::Reference> references;
  for (const std::string& name : names) references.push_back(oci::parse_reference(name));
  return references;
}

std::vector<oci::Platform> parse_platforms(const std::vector<std::string>& lists) {
  std::vector<oci::Platform> platforms;
  for (const std::string& list : lists) {
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t comma = std::min(list.find(',', begin), list.size());
      platforms.push_back(oci::parse_platform(list.substr(begin, comma - begin)));
      begin = comma + 1;
    }
  }
  return platforms;
}

void VerbContext::add_registry_options(OptionSet& options) {
  options.list("--insecure-registry", "HOST", insecure_,
               "Registry without a trusted certificate, or without TLS");
}

void VerbContext::add_isolation_option(OptionSet& options) {
  has_isolation_ = true;
  options.text("--isolation", "KIND", isolation_,
               "auto, root, user, user-one or chroot (STRAKE_ISOLATION)");
}

void VerbContext::add_display_options(OptionSet& options, bool& quiet) {
  options.section("Display");
  options.text("--progress", "KIND", progress_, "auto, tty, plain or quiet (default: auto)");
  options.flag("-q,--quiet", quiet, "Say nothing but the result");
}

bool VerbContext::parse(OptionSet& options, ShortNames names) {
  const bool usual = names == ShortNames::usual;
  options.section("Common");
  options.text("--root", "DIRECTORY", root_, "Where images and the cache are kept (STRAKE_ROOT)");
  options.flag(usual ? "-v,--verbose" : "--verbose", verbose_, "Say more");
  options.flag(usual ? "-D,--debug" : "--debug", debug_, "Say everything");
  options.text(usual ? "-l,--log-level" : "--log-level", "LEVEL", log_level_, "");
  if (!options.parse(arguments_)) return false;

  if (!root_) root_ = environment_("STRAKE_ROOT");
  if (root_ && root_->empty())
    throw invalid("the store's directory (--root, STRAKE_ROOT) is empty");
  if (root_) common_.root = *root_;
  common_.insecure_registries.insert(insecure_.begin(), insecure_.end());
  if (log_level_) common_.log_level = parse_log_level(*log_level_);
  if (verbose_) common_.log_level = base::LogLevel::info;
  if (debug_) common_.log_level = base::LogLevel::debug;
  if (has_isolation_) common_.isolation.emplace().wanted = wanted_isolation();
  if (!progress_) progress_ = environment_("BUILDKIT_PROGRESS");
  if (progress_ && !progress_->empty()) {
    common_.progress = parse_progress_mode(*progress_);
    if (!common_.progress)
      throw invalid("progress " + base::quoted(*progress_) + " is not known")
          .hint("use auto, tty, plain or quiet");
  }
  return true;
}

/// "default" is docker's word for what we call auto.
std::optional<sandbox::Isolation> VerbContext::wanted_isolation() const {
  const std::optional<std::string> word =
      isolation_ ? isolation_ : environment_("STRAKE_ISOLATION");
  if (!word || word->empty() || *word == "default") return std::nullopt;
  return sandbox::parse_isolation(*word);
}

std::optional<oci::Platform> single_platform(const std::optional<std::string>& option,
                                             const VerbContext& context) {
  const std::optional<std::string> word =
      option ? option : context.environment("DOCKER_DEFAULT_PLATFORM");
  if (!word || word->empty()) return std::nullopt;
  return oci::parse_platform(*word);
}

Command parse_pull(VerbContext& context) {
  OptionSet options("pull", "NAME...", "Pulls images from their registries into the local store.");
  PullCommand command;
  std::optional<std::string> platform, policy;
  options.text("--platform", "OS/ARCH", platform, "The platform to pull (default: this machine's)");
  options.text("--policy", "WHEN", policy, "always, newer or missing (default: always)");
  options.accept_flag("--disable-content-trust");
  options.refuse("--all-tags", "name the tags to pull one by one");
  options.refuse("-a", "name the tags to pull one by one");
  context.add_isolation_option(options);
  context.add_registry_options(options);
  context.add_display_options(options, command.quiet);
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.names = parse_references(options.operands(1, 1000));
  command.platform = single_platform(platform, context);
  command.policy = parse_pull_policy(policy.value_or("always"));
  if (command.policy == builder::PullPolicy::never)
    throw invalid("a pull that never pulls does nothing").hint("use always, newer or missing");
  return command;
}

Command parse_import(VerbContext& context) {
  OptionSet options("import", "FILE|- NAME",
                    "Makes an image of one layer from a root file system's tar.");
  ImportCommand command;
  std::optional<std::string> platform;
  options.list("-c,--change", "INSTRUCTION", command.changes,
               "Dockerfile instruction to apply: CMD, ENV, ... (repeatable)");
  options.text("--platform", "OS/ARCH", platform, "The image's platform (default: this machine's)");
  options.refuse("--message", "the history of an imported image is its import");
  options.refuse("-m", "the history of an imported image is its import");
  context.add_isolation_option(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  const std::vector<std::string>& operands = options.operands(2, 2);
  command.source = operands[0];
  command.name = oci::parse_reference(operands[1]);
  command.platform = single_platform(platform, context);
  return command;
}

Command parse_images(VerbContext& context) {
  OptionSet options("images", "[NAME]",
                    "Lists local images, those of one name or pattern if given.");
  ImagesCommand command;
  std::optional<std::string> format;
  options.text("--format", "FORMAT", format, "table, json (one object a line) or a template");
  options.flag("-q,--quiet", command.quiet, "Only ids");
  options.flag("--digests", command.digests, "Also manifest digests");
  options.flag("--no-trunc", command.full_ids, "Whole ids");
  options.accept_flag("-a,--all");
  options.refuse("--filter", "give a name or a pattern instead");
  options.refuse("-f", "give a name or a pattern instead");
  options.refuse("--tree", "use \"strake inspect\" to see the platforms of an image");
  if (!context.parse(options)) return HelpCommand{options.help()};
  const std::vector<std::string>& operands = options.operands(0, 1);
  if (!operands.empty()) command.pattern = operands.front();
  command.format = parse_format(format, OutputFormat::Kind::table);
  return command;
}

Command parse_tag(VerbContext& context) {
  OptionSet options("tag", "SOURCE TARGET",
                    "Gives the image SOURCE (a name or an id) the name TARGET too.");
  if (!context.parse(options)) return HelpCommand{options.help()};
  const std::vector<std::string>& operands = options.operands(2, 2);
  TagCommand command{operands[0], oci::parse_reference(operands[1])};
  if (command.target.digest)
    throw invalid("name " + base::quoted(operands[1]) +
                  " has a digest: an image is named by a tag");
  return command;
}

Command parse_rmi(VerbContext& context) {
  OptionSet options("rmi", "NAME...",
                    "Removes names of local images; an id removes all names that have it.");
  RemoveCommand command;
  options.flag("-f,--force", command.force, "Images that are not there are fine");
  options.accept_flag("--no-prune");
  options.refuse("--platform", "images are removed with all the platforms they have");
  options.epilogue(
      "Layers and blobs that nothing needs any more go with the next \"strake prune\".");
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.names = options.operands(1, 1000);
  return command;
}

Command parse_inspect(VerbContext& context) {
  OptionSet options("inspect", "NAME...", "Shows local images as docker inspect does.");
  InspectCommand command;
  std::optional<std::string> format, platform, type;
  options.text("-f,--format", "FORMAT", format,
               "json, or a template: '{{.Id}}', '{{json .Config}}'");
  options.text("--platform", "OS/ARCH", platform,
               "Which platform of the image (default: the best here)");
  options.text("--type", "TYPE", type, "");
  if (!context.parse(options)) return HelpCommand{options.help()};
  if (type.value_or("image") != "image")
    throw invalid("type " + base::quoted(*type) + " is not supported: there are only images");
  command.names = options.operands(1, 1000);
  command.format = parse_format(format, OutputFormat::Kind::json);
  command.platform = single_platform(platform, context);
  return command;
}

Command parse_history(VerbContext& context) {
  OptionSet options("history", "NAME", "Shows how an image was made, the newest step first.");
  HistoryCommand command;
  std::optional<std::string> format, platform;
  options.text("--format", "FORMAT", format, "table, json (one object a line) or a template");
  options.flag("-q,--quiet", command.quiet, "Only ids");
  options.flag("--no-trunc", command.full_text, "Whole instructions");
  options.flag("-H,--human", command.human, "Sizes and times for people (default: true)");
  options.text("--platform", "OS/ARCH", platform,
               "Which platform of the image (default: the best here)");
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.name = options.operands(1, 1).front();
  command.format = parse_format(format, OutputFormat::Kind::table);
  command.platform = single_platform(platform, context);
  return command;
}

Command parse_login(VerbContext& context) {
  OptionSet options(
      "login", "[HOST]",
      "Stores the credentials of a registry, after trying them. HOST is docker.io if not given.");
  LoginCommand command;
  std::optional<std::string> username;
  options.text("-u,--username", "NAME", username, "User name");
  options.text("-p,--password", "PASSWORD", command.password,
               "Password; others may see it: better use stdin");
  options.flag("--password-stdin", command.password_from_stdin, "Read the password from stdin");
  context.add_registry_options(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  const std::vector<std::string>& operands = options.operands(0, 1);
  command.host = operands.empty() ? "docker.io" : operands.front();
  command.username = username.value_or("");
  if (command.password && command.password_from_stdin)
    throw invalid("flags \"--password\" and \"--password-stdin\" exclude each other");
  if (command.password_from_stdin && command.username.empty())
    throw invalid("flag \"--password-stdin\" needs \"--username\"");
  return command;
}

Command parse_logout(VerbContext& context) {
  OptionSet options("logout", "[HOST]",
                    "Forgets the credentials of a registry. HOST is docker.io if not given.");
  if (!context.parse(options)) return HelpCommand{options.help()};
  const std::vector<std::string>& operands = options.operands(0, 1);
  return LogoutCommand{operands.empty() ? "docker.io" : operands.front()};
}

Command parse_prune(VerbContext& context) {
  OptionSet options("prune", "", "Removes what is not needed from the store.");
  PruneCommand command;
  bool all = false, images = false, force = false;
  std::vector<std::string> filters;
  std::optional<std::string> max_used_space, keep_storage;
  options.flag("-a,--all", all, "Also cached steps and cache mounts that no image holds");
  options.flag("--images", images, "Also all images (with --force)");
  options.list("--filter", "until=AGE", filters,
               "Only what was not used for AGE, such as 24h or 7d");
  options.text("--max-used-space", "SIZE", max_used_space,
               "Only until the store is as small as SIZE, such as 10GB");
  options.text("--keep-storage", "SIZE", keep_storage, "");
  options.flag("-f,--force", force, "Do not hold back");
  options.refuse("--reserved-space", "use --max-used-space");
  options.refuse("--min-free-space", "use --max-used-space");
  options.refuse("--volumes", "there are no volumes");
  options.epilogue(
      "Without options only layers and blobs go that neither a cached step nor an image leads to;\n"
      "--all, --filter and --max-used-space are about cached steps too.");
  context.add_isolation_option(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  options.operands(0, 0);
  if (images && !force)
    throw invalid("\"prune --images\" removes every local image")
        .hint("add --force if that is meant");
  for (const std::string& filter : filters) set_filter(command, filter);
  if (!max_used_space) max_used_space = keep_storage;
  if (max_used_space) command.options.max_bytes = parse_size(*max_used_space);
  const bool limited = command.options.max_bytes || command.options.older_than;
  if (all || limited) command.options.scope = cache::PruneScope::unused;
  if (images) command.options.scope = cache::PruneScope::everything;
  return command;
}

Command parse_doctor(VerbContext& context) {
  OptionSet options("doctor", "",
                    "Shows what this machine allows builds to do, and what would allow more.");
  std::optional<std::string> format;
  options.text("--format", "FORMAT", format, "table or json");
  context.add_isolation_option(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  options.operands(0, 0);
  return DoctorCommand{parse_plain_format(format)};
}

Command parse_version(VerbContext& context) {
  OptionSet options("version", "", "Shows the version.");
  std::optional<std::string> format;
  options.text("-f,--format", "FORMAT", format, "table or json");
  if (!context.parse(options)) return HelpCommand{options.help()};
  options.operands(0, 0);
  return VersionCommand{parse_plain_format(format)};
}

}  // namespace strake::cli
