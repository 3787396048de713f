#include "builder/cli/verbs.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

using builder::AnnotationPlace;

base::Error invalid(std::string message) {
  return base::Error(base::ErrorCode::invalid_input, std::move(message));
}

std::vector<builder::Annotation> parse_all(const std::vector<std::string>& texts) {
  std::vector<builder::Annotation> annotations;
  for (const std::string& text : texts)
    for (builder::Annotation& annotation : builder::parse_annotations(text, AnnotationPlace::index))
      annotations.push_back(std::move(annotation));
  return annotations;
}

/// A tag that an index is written to.
oci::Reference parse_target(const std::string& name) {
  oci::Reference reference = oci::parse_reference(name);
  if (reference.digest)
    throw invalid(base::quoted(name) + " has a digest: an index is written to a tag");
  return reference;
}

/// What "create" and "append" have in common.
struct IndexWords {
  std::vector<std::string> tags, platforms, annotations;
  std::optional<std::string> metadata_file;
};

void declare(OptionSet& options, IndexWords& words, IndexCreateCommand& command) {
  options.list("--platform", "PLATFORMS", words.platforms, "Only these platforms of the sources");
  options.list("--annotation", "[WHERE:]KEY=VALUE", words.annotations,
               "WHERE is index (default) or manifest-descriptor[OS/ARCH]");
  options.list("-f,--file", "FILE", command.descriptor_files,
               "Descriptor (JSON) of a manifest that is in the repository");
  options.text("--metadata-file", "FILE", words.metadata_file, "Write the result's digest as JSON");
  options.flag("--dry-run", command.dry_run, "Show the index, write nothing");
  options.accept_value("--builder");
}

void finish(IndexCreateCommand& command, IndexWords& words) {
  command.request.platforms = parse_platforms(words.platforms);
  command.request.annotations = parse_all(words.annotations);
  command.metadata_file = words.metadata_file.value_or("");
  if (command.request.sources.empty() && command.descriptor_files.empty())
    throw invalid("there is no image to make an index of").hint("name the images behind the tag");
}

}  // namespace

Command parse_index_create(VerbContext& context) {
  OptionSet options("index create", "[TAG] SOURCE...",
                    "Makes an index of images in registries, at one or more tags.");
  IndexCreateCommand command;
  IndexWords words;
  bool append = false, prefer_index = true;
  options.list("-t,--tag", "NAME:TAG", words.tags,
               "Where to (repeatable); without it the first operand");
  options.flag("--append", append, "Add to what is there");
  options.flag("--prefer-index", prefer_index,
               "An index also of a single image (default); =false copies it as it is");
  declare(options, words, command);
  context.add_registry_options(options);
  context.add_display_options(options, command.quiet);
  if (!context.parse(options)) return HelpCommand{options.help()};
  std::vector<std::string> operands = options.operands(0, 1000);
  if (words.tags.empty() && !operands.empty() && !command.dry_run) {
    words.tags.push_back(operands.front());
    operands.erase(operands.begin());
  }
  if (words.tags.empty() && !command.dry_run) throw invalid("--tag is missing");
  for (const std::string& tag : words.tags) command.request.targets.push_back(parse_target(tag));
  command.request.sources = parse_references(operands);
  command.request.append = append ? builder::Append::yes : builder::Append::no;
  if (!prefer_index) command.request.single = builder::SingleSource::as_it_is;
  finish(command, words);
  // A dry run of sources alone is shown as if they were where it goes.
  if (command.request.targets.empty()) {
    if (command.request.sources.empty()) throw invalid("--tag is missing");
    command.request.targets = {command.request.sources.front()};
  }
  return command;
}

Command parse_index_append(VerbContext& context) {
  OptionSet options(
      "index append", "TAG SOURCE...",
      "Adds images to an index; one takes the place of the index's image for the same "
      "platform.");
  IndexCreateCommand command;
  IndexWords words;
  declare(options, words, command);
  context.add_registry_options(options);
  context.add_display_options(options, command.quiet);
  if (!context.parse(options)) return HelpCommand{options.help()};
  std::vector<std::string> operands = options.operands(1, 1000);
  command.request.targets = {parse_target(operands.front())};
  operands.erase(operands.begin());
  command.request.sources = parse_references(operands);
  command.request.append = builder::Append::yes;
  finish(command, words);
  return command;
}

Command parse_index_remove(VerbContext& context) {
  OptionSet options("index remove", "TAG PLATFORM|DIGEST...",
                    "Removes images from an index, with their attestations. They stay in the "
                    "repository.");
  IndexRemoveCommand command;
  context.add_registry_options(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  const std::vector<std::string>& operands = options.operands(2, 1000);
  command.index = parse_target(operands.front());
  command.entries.assign(operands.begin() + 1, operands.end());
  for (const std::string& entry : command.entries)
    if (entry.starts_with("sha256:"))
      base::Digest::parse(entry);
    else
      oci::parse_platform(entry);
  return command;
}

Command parse_index_annotate(VerbContext& context) {
  OptionSet options("index annotate", "TAG", "Sets annotations of an index and of its entries.");
  IndexAnnotateCommand command;
  std::vector<std::string> annotations;
  options.list("--annotation", "[WHERE:]KEY=VALUE", annotations,
               "WHERE is index (default) or manifest-descriptor[OS/ARCH]");
  context.add_registry_options(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.index = parse_target(options.operands(1, 1).front());
  command.annotations = parse_all(annotations);
  if (command.annotations.empty()) throw invalid("--annotation is missing");
  return command;
}

Command parse_index_inspect(VerbContext& context) {
  OptionSet options("index inspect", "NAME", "Shows what a name stands for in its registry.");
  IndexInspectCommand command;
  std::optional<std::string> format;
  options.flag("--raw", command.raw, "The document's own bytes");
  options.text("--format", "FORMAT", format, "json, or a template: '{{.Manifest.digest}}'");
  options.accept_value("--builder");
  context.add_registry_options(options);
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.name = oci::parse_reference(options.operands(1, 1).front());
  command.format = parse_format(format, OutputFormat::Kind::table);
  return command;
}

}  // namespace strake::cli
