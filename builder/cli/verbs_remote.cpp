#include "builder/cli/verbs.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

using Kind = builder::ImageLocation::Kind;

base::Error invalid(std::string message) {
  return base::Error(base::ErrorCode::invalid_input, std::move(message));
}

void check_copy(const CopyCommand& command) {
  const bool registries =
      command.source.kind == Kind::registry && command.target.kind == Kind::registry;
  if (command.all_tags && !registries)
    throw invalid("--all-tags copies from one repository of a registry to another");
  if (command.referrers && !registries)
    throw invalid(
        "--referrers copies from one registry to another: layouts and archives keep none");
  if (command.all_tags && !command.platforms.empty())
    throw invalid("--all-tags copies images with all their platforms");
  if (command.target.kind == Kind::store && command.target.name.empty())
    throw invalid("the local image has no name").hint("write it as store:NAME");
}

/// "FILE", or "FILE:TYPE" with a media type. A file of the whole name would be taken first, if
/// media types were likely names.
builder::AttachedFile parse_file(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const bool typed = colon != std::string::npos && text.find('/', colon) != std::string::npos &&
                     text.find('/', colon) == text.rfind('/') && colon > 0;
  if (typed) return {text.substr(0, colon), text.substr(colon + 1)};
  return {text, "application/octet-stream"};
}

}  // namespace

Command parse_copy(VerbContext& context) {
  OptionSet options("copy", "SOURCE TARGET",
                    "Copies an image as it is, with all its platforms: its digest stays the same.");
  CopyCommand command;
  std::vector<std::string> platforms;
  options.list("--platform", "PLATFORMS", platforms,
               "Only these: one gives its image, several a new index");
  options.flag("--all-tags", command.all_tags, "All tags of a repository");
  options.flag("--referrers", command.referrers,
               "Also what refers to the image: signatures, SBOMs");
  options.accept_flag("--all");
  options.accept_flag("-a");
  options.epilogue(
      "SOURCE and TARGET are:\n"
      "  NAME[:TAG][@DIGEST]          an image in a registry, also as docker://NAME\n"
      "  oci:DIRECTORY[:TAG]          an OCI image layout\n"
      "  oci-archive:FILE[:TAG]       the same as a tar\n"
      "  docker-archive:FILE[:NAME]   what docker load takes\n"
      "  store:NAME                   a local image\n");
  context.add_isolation_option(options);
  context.add_registry_options(options);
  context.add_display_options(options, command.quiet);
  if (!context.parse(options)) return HelpCommand{options.help()};
  const std::vector<std::string>& operands = options.operands(2, 2);
  command.source = builder::parse_location(operands[0]);
  command.target = builder::parse_location(operands[1]);
  command.platforms = parse_platforms(platforms);
  check_copy(command);
  return command;
}

Command parse_tags(VerbContext& context) {
  OptionSet options("tags", "REPOSITORY", "Lists the tags of a repository in its registry.");
  TagsCommand command;
  std::optional<std::string> format;
  options.text("--format", "FORMAT", format, "table (a tag a line) or json");
  context.add_registry_options(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.repository = oci::parse_repository(options.operands(1, 1).front());
  command.format = parse_plain_format(format);
  return command;
}

Command parse_delete(VerbContext& context) {
  OptionSet options("delete", "NAME...",
                    "Deletes tags in their registry, or with NAME@DIGEST manifests and all their "
                    "tags.");
  DeleteCommand command;
  std::optional<std::string> format;
  options.text("--format", "FORMAT", format, "table or json (one object a line)");
  context.add_registry_options(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  for (const std::string& name : options.operands(1, 1000)) {
    const oci::Reference reference = oci::parse_reference(name);
    // A name alone would be its "latest", which is easily not what was meant.
    if (!reference.digest && !name.ends_with(":" + reference.tag.value_or("")))
      throw invalid(base::quoted(name) + " names neither a tag nor a digest")
          .hint("write the tag: " + name + ":TAG");
    command.names.push_back(reference);
  }
  command.format = parse_plain_format(format);
  return command;
}

Command parse_digest(VerbContext& context) {
  OptionSet options("digest", "NAME...", "Shows the digests of images in their registries.");
  DigestCommand command;
  std::optional<std::string> platform, format;
  options.text("--platform", "OS/ARCH", platform, "Of this platform's manifest, not of the index");
  options.text("--format", "FORMAT", format, "table (a digest a line) or json (one object a line)");
  context.add_registry_options(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.names = parse_references(options.operands(1, 1000));
  if (platform) command.platform = oci::parse_platform(*platform);
  command.format = parse_plain_format(format);
  return command;
}

Command parse_referrers(VerbContext& context) {
  OptionSet options("referrers", "NAME",
                    "Lists what refers to an image in its registry: signatures, SBOMs, attached "
                    "files.");
  ReferrersCommand command;
  std::optional<std::string> type, format;
  options.text("--artifact-type", "TYPE", type, "Only those of this type");
  options.text("--format", "FORMAT", format, "table or json (a list of descriptors)");
  context.add_registry_options(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.subject = oci::parse_reference(options.operands(1, 1).front());
  command.artifact_type = type.value_or("");
  command.format = parse_plain_format(format);
  return command;
}

Command parse_attach(VerbContext& context) {
  OptionSet options(
      "attach", "NAME FILE[:MEDIA-TYPE]...",
      "Attaches files to an image in its registry, as an artifact that refers to it.");
  AttachCommand command;
  std::optional<std::string> type;
  std::vector<std::string> annotations;
  options.text("--artifact-type", "TYPE", type, "What it is: application/vnd.example.sbom+json");
  options.list("-a,--annotation", "KEY=VALUE", annotations,
               "Annotation of the artifact (repeatable)");
  context.add_registry_options(options);
  context.add_display_options(options, command.quiet);
  if (!context.parse(options)) return HelpCommand{options.help()};
  const std::vector<std::string>& operands = options.operands(1, 1000);
  command.subject = oci::parse_reference(operands.front());
  for (std::size_t i = 1; i < operands.size(); ++i)
    command.files.push_back(parse_file(operands[i]));
  if (!type) throw invalid("--artifact-type is missing").hint("say what the files are");
  if (type->find('/') == std::string::npos)
    throw invalid("artifact type " + base::quoted(*type) + " is no media type");
  command.artifact_type = *type;
  for (const std::string& annotation : annotations) {
    const std::size_t equals = annotation.find('=');
    if (equals == std::string::npos || equals == 0)
      throw invalid("annotation " + base::quoted(annotation) + " is not KEY=VALUE");
    command.annotations[annotation.substr(0, equals)] = annotation.substr(equals + 1);
  }
  return command;
}

}  // namespace strake::cli
