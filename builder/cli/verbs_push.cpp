#include "builder/cli/output_spec.h"
#include "builder/cli/verbs.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

base::Error invalid(std::string message) {
  return base::Error(base::ErrorCode::invalid_input, std::move(message));
}

void check(const PushCommand& command, bool has_requirement) {
  if (!command.into) {
    if (command.platform)
      throw invalid("--platform is for --into: images are pushed with all the platforms they have")
          .hint("use \"strake copy --platform\" to push some of them");
    if (has_requirement) throw invalid("--require is for --into");
    return;
  }
  if (command.names.size() != 1)
    throw invalid("--into takes one image, not " + std::to_string(command.names.size()));
  if (command.into->digest)
    throw invalid("--into takes a tag, and " + base::quoted(command.into->familiar()) +
                  " has a digest");
}

}  // namespace

Command parse_push(VerbContext& context) {
  OptionSet options("push", "NAME...", "Pushes local images to the registries in their names.");
  PushCommand command;
  std::optional<std::string> compression, level, into, platform;
  std::vector<std::string> required;
  options.text("--compression", "KIND", compression, "Of layers made here: gzip, zstd, none");
  options.text("--compression-level", "N", level, "gzip 0-12, zstd 1-22");
  options.section("One index from several jobs");
  options.text("--into", "NAME:TAG", into,
               "Make the image's platforms part of the index at this tag");
  options.list("--require", "PLATFORMS", required,
               "Publish the tag when all of these are there, with just these");
  options.text("--platform", "OS/ARCH", platform, "The one platform of the image to push");
  options.epilogue(
      "Each job runs \"strake push IMAGE --into NAME:TAG\" for its own platform, in any order and "
      "at\n"
      "the same time; the tag ends as the index of all of them. Each leaves a marker tag\n"
      "(TAG--part-linux-arm64), which the others read. Platforms that are built no more stay "
      "until\n"
      "--require names the others.\n");
  options.accept_flag("--disable-content-trust");
  options.refuse("--all-tags", "name the images to push one by one");
  options.refuse("-a", "name the images to push one by one");
  context.add_isolation_option(options);
  context.add_registry_options(options);
  context.add_display_options(options, command.quiet);
  if (!context.parse(options)) return HelpCommand{options.help()};
  command.names = parse_references(options.operands(1, 1000));
  command.compression = parse_compression(compression.value_or("gzip"));
  if (level) command.compression_level = parse_compression_level(*level, command.compression);
  if (into) command.into = oci::parse_reference(*into);
  if (platform) command.platform = oci::parse_platform(*platform);
  command.required = parse_platforms(required);
  check(command, !required.empty());
  return command;
}

}  // namespace strake::cli
