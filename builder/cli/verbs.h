#pragma once

#include <optional>
#include <span>
#include <string>

#include "builder/cli/arguments.h"
#include "builder/cli/option_set.h"

namespace strake::cli {

/// Whether -v, -D and -l are what they are for every verb.
enum class ShortNames { usual, none };

/// What a verb's parser works with.
class VerbContext {
 public:
  VerbContext(std::span<const std::string> arguments, const Environment& environment,
              CommonOptions& common)
      : arguments_(arguments), environment_(environment), common_(common) {}

  /// Adds --insecure-registry.
  void add_registry_options(OptionSet& options);
  /// Adds --isolation: for verbs that make, read or remove trees of the store.
  void add_isolation_option(OptionSet& options);
  /// Adds --progress and, into `quiet`, -q.
  void add_display_options(OptionSet& options, bool& quiet);
  /// Adds what every verb takes, parses the line, and fills in CommonOptions. False when help was
  /// asked for.
  bool parse(OptionSet& options, ShortNames names = ShortNames::usual);

  std::optional<std::string> environment(const std::string& name) const {
    return environment_(name);
  }

 private:
  std::optional<sandbox::Isolation> wanted_isolation() const;

  const std::span<const std::string> arguments_;
  const Environment& environment_;
  CommonOptions& common_;

  std::optional<std::string> root_, log_level_, progress_, isolation_;
  bool has_isolation_ = false;
  std::vector<std::string> insecure_;
  bool verbose_ = false, debug_ = false;
};

/// The platform of --platform, else of DOCKER_DEFAULT_PLATFORM.
std::optional<oci::Platform> single_platform(const std::optional<std::string>& option,
                                             const VerbContext& context);

/// "NAME=VALUE", or "NAME" with the value of the environment; a name that has none there is left
/// out, as docker does.
void add_build_arg(builder::BuildRequest& request, const std::string& text,
                   const VerbContext& context);

std::vector<oci::Reference> parse_references(const std::vector<std::string>& names);
/// Values of a repeatable option, each of which may be a list: "linux/amd64,linux/arm64".
std::vector<oci::Platform> parse_platforms(const std::vector<std::string>& lists);
/// "json", or a Go template; "table" is the table, and nothing is `otherwise`. Throws
/// Error(invalid_input).
OutputFormat parse_format(const std::optional<std::string>& word, OutputFormat::Kind otherwise);
/// For verbs that show a table or JSON and nothing else.
OutputFormat parse_plain_format(const std::optional<std::string>& word);

/// "text", "json", "sarif". Throws Error(invalid_input).
CheckFormat parse_check_format(const std::string& word);
/// The value of --call: "check" with its format; empty for "build". Throws Error(invalid_input).
std::optional<CheckFormat> parse_call(const std::string& word);

/// always, newer, missing or never, and docker's true and false. Throws Error(invalid_input).
builder::PullPolicy parse_pull_policy(const std::string& word);

// A parser for each verb. Throw Error(invalid_input).
Command parse_build(VerbContext& context);
Command parse_check(VerbContext& context);
Command parse_run(VerbContext& context);
Command parse_push(VerbContext& context);
Command parse_pull(VerbContext& context);
Command parse_images(VerbContext& context);
Command parse_tag(VerbContext& context);
Command parse_rmi(VerbContext& context);
Command parse_inspect(VerbContext& context);
Command parse_history(VerbContext& context);
Command parse_import(VerbContext& context);
Command parse_login(VerbContext& context);
Command parse_logout(VerbContext& context);
Command parse_prune(VerbContext& context);
Command parse_doctor(VerbContext& context);
Command parse_version(VerbContext& context);
Command parse_index_create(VerbContext& context);
Command parse_index_append(VerbContext& context);
Command parse_index_remove(VerbContext& context);
Command parse_index_annotate(VerbContext& context);
Command parse_index_inspect(VerbContext& context);
Command parse_copy(VerbContext& context);
Command parse_tags(VerbContext& context);
Command parse_delete(VerbContext& context);
Command parse_digest(VerbContext& context);
Command parse_referrers(VerbContext& context);
Command parse_attach(VerbContext& context);

}  // namespace strake::cli
