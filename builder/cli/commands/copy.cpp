#include "builder/images/copy_image.h"

#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/shown_transfer.h"
#include "builder/cli/terminal_io.h"
#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::cli {
namespace {

using builder::CopyOptions;
using builder::ImageLocation;
using builder::ImageSource;
using builder::ImageTree;
using Kind = ImageLocation::Kind;

std::string shown(const ImageLocation& location) {
  if (location.path.empty()) return location.name;
  return location.path + (location.name.empty() ? "" : ":" + location.name);
}

/// The name that the image gets in a layout, an archive or the store, if the user gave none: that
/// of its tag in the registry.
std::string name_at_target(const CopyCommand& command) {
  if (!command.target.name.empty() || command.source.kind != Kind::registry)
    return command.target.name;
  const oci::Reference source = oci::parse_reference(command.source.name);
  return source.tag ? source.str() : "";
}

std::unique_ptr<ImageSource> open_source(const ImageLocation& from, Session& session,
                                         builder::Machine* machine) {
  switch (from.kind) {
    case Kind::registry:
      return builder::registry_source(session.registry(), oci::parse_reference(from.name),
                                      session.stop());
    case Kind::layout:
      return builder::layout_source(from.path, from.name);
    case Kind::oci_archive:
    case Kind::docker_archive:
      return builder::archive_source(from.path, from.name);
    case Kind::store:
      break;
  }
  return builder::store_source(oci::parse_reference(from.name), {}, *machine, session.stop());
}

void write(const CopyCommand& command, ImageSource& source, const ImageTree& image,
           Session& session, builder::Machine* machine, const CopyOptions& options) {
  const ImageLocation& target = command.target;
  const std::string name = name_at_target(command);
  switch (target.kind) {
    case Kind::registry:
      return builder::copy_to_registry(source, image, session.registry(),
                                       oci::parse_reference(target.name), options);
    case Kind::layout:
      return builder::copy_to_layout(source, image, target.path, name);
    case Kind::oci_archive:
      return builder::copy_to_archive(source, image, builder::ArchiveKind::oci, target.path, name);
    case Kind::docker_archive:
      return builder::copy_to_archive(source, image, builder::ArchiveKind::docker, target.path,
                                      name);
    case Kind::store:
      return builder::copy_to_store(source, image, oci::parse_reference(target.name), *machine);
  }
}

/// Copies one image and returns its digest.
base::Digest copy_one(const CopyCommand& command, Session& session, builder::Machine* machine,
                      const CopyOptions& options) {
  try {
    const auto source = open_source(command.source, session, machine);
    const ImageTree image = builder::read_image(*source, command.platforms);
    write(command, *source, image, session, machine, options);
    if (command.referrers)
      builder::copy_referrers(oci::parse_reference(command.source.name).repository, image,
                              session.registry(),
                              oci::parse_reference(command.target.name).repository, options);
    return image.root.digest;
  } catch (base::Error& error) {
    error.add_context("copying " + base::quoted(shown(command.source)) + " to " +
                      base::quoted(shown(command.target)));
    throw;
  }
}

/// The same command for one tag of both repositories.
CopyCommand with_tag(const CopyCommand& command, const std::string& tag) {
  CopyCommand one = command;
  for (ImageLocation* location : {&one.source, &one.target})
    location->name = oci::parse_repository(location->name).str() + ":" + tag;
  return one;
}

std::string copy_all(const CopyCommand& command, Session& session, const CopyOptions& options) {
  std::string digests;
  const oci::Repository from = oci::parse_repository(command.source.name);
  oci::parse_repository(command.target.name);
  for (const std::string& tag : session.registry().list_tags(from, session.stop()))
    digests += copy_one(with_tag(command, tag), session, nullptr, options).str() + " " + tag + "\n";
  return digests;
}

}  // namespace

void run(const CopyCommand& command, Session& session) {
  std::string digests;
  const std::string title = "copy " + shown(command.source) + " to " + shown(command.target);
  const auto copy = [&](builder::Machine* machine, const CopyOptions& options) {
    digests = command.all_tags ? copy_all(command, session, options)
                               : copy_one(command, session, machine, options).str() + "\n";
  };
  if (command.source.kind == Kind::store || command.target.kind == Kind::store) {
    with_display(session, command.quiet, [&](builder::Machine& machine) {
      show_transfer(machine.progress, title, session.stop(),
                    [&](const CopyOptions& options) { copy(&machine, options); });
    });
  } else {
    show_transfer(session, command.quiet, title,
                  [&](const CopyOptions& options) { copy(nullptr, options); });
  }
  // An archive on stdout has it to itself.
  if (command.target.path == "-")
    base::log_info("digest " + digests);
  else
    print(digests);
}

}  // namespace strake::cli
