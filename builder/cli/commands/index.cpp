#include <nlohmann/json.hpp>

#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/image_lookup.h"
#include "builder/cli/commands/shown_transfer.h"
#include "builder/cli/terminal_io.h"
#include "builder/images/index_edit.h"
#include "builder/images/index_images.h"
#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/oci/json.h"

namespace strake::cli {
namespace {

using Json = nlohmann::ordered_json;
using builder::AnyDocument;

oci::Descriptor read_descriptor(const std::string& file) {
  const auto text = base::read_file(file, 1 << 20);
  if (!text) throw base::system_error(ENOENT, "read", file);
  try {
    return oci::parse_descriptor(oci::parse_json(*text, base::quoted(file)));
  } catch (base::Error& error) {
    error.set_hint("the file holds a descriptor: {\"mediaType\": …, \"digest\": …, \"size\": …}");
    throw;
  }
}

void write_metadata(const std::string& file, const oci::Descriptor& root,
                    const oci::Reference& name) {
  const Json metadata{{"containerimage.descriptor", oci::to_json(root)},
                      {"containerimage.digest", root.digest.str()},
                      {"image.name", name.str()}};
  base::write_file_atomically(file, metadata.dump(2) + "\n", 0644, base::Durability::none);
}

/// The name with the digest in place of the tag.
std::string pinned(const oci::Reference& name, const base::Digest& digest) {
  return oci::Reference{name.repository, std::nullopt, digest}.str();
}

std::string annotation_lines(const std::map<std::string, std::string>& annotations,
                             const std::string& indent) {
  std::string text;
  for (const auto& [key, value] : annotations) text += indent + key + ": " + value + "\n";
  return text;
}

/// As "docker buildx imagetools inspect" shows it.
std::string text_of(const oci::Reference& name, const AnyDocument& document) {
  std::string text = "Name:      " + name.str() + "\nMediaType: " + document.descriptor.media_type +
                     "\nDigest:    " + document.descriptor.digest.str() + "\n";
  const auto* index = std::get_if<oci::Index>(&document.value);
  if (index == nullptr) return text;
  if (!index->annotations.empty())
    text += "Annotations:\n" + annotation_lines(index->annotations, "  ");
  text += "\nManifests:\n";
  for (const oci::Descriptor& entry : index->manifests) {
    text +=
        "  Name:      " + pinned(name, entry.digest) + "\n  MediaType: " + entry.media_type + "\n";
    if (entry.platform) text += "  Platform:  " + entry.platform->str() + "\n";
    if (!entry.annotations.empty())
      text += "  Annotations:\n" + annotation_lines(entry.annotations, "    ");
    text += "\n";
  }
  return text;
}

Json json_of(const oci::Reference& name, const AnyDocument& document) {
  Json manifest = oci::to_json(document.descriptor);
  if (const auto* index = std::get_if<oci::Index>(&document.value)) {
    Json entries = Json::array();
    for (const oci::Descriptor& entry : index->manifests) entries.push_back(oci::to_json(entry));
    manifest["manifests"] = std::move(entries);
    if (!index->annotations.empty()) manifest["annotations"] = index->annotations;
  }
  return {{"Name", name.str()}, {"Manifest", std::move(manifest)}};
}

void print_digest(const oci::Document<oci::Index>& document) {
  print(document.descriptor.digest.str() + "\n");
}

}  // namespace

void run(const IndexCreateCommand& command, Session& session) {
  builder::IndexRequest request = command.request;
  for (const std::string& file : command.descriptor_files)
    request.descriptors.push_back(read_descriptor(file));
  const oci::Reference& target = request.targets.front();
  if (command.dry_run) {
    const AnyDocument document =
        builder::plan_index(session.registry(), request, target, session.stop());
    return print(document.bytes + (document.bytes.ends_with('\n') ? "" : "\n"));
  }
  oci::Descriptor root;
  show_transfer(session, command.quiet, "index " + target.familiar(),
                [&](const builder::CopyOptions& options) {
                  root = builder::create_index(session.registry(), request, options).descriptor;
                });
  if (!command.metadata_file.empty()) write_metadata(command.metadata_file, root, target);
  print(root.digest.str() + "\n");
}

void run(const IndexRemoveCommand& command, Session& session) {
  print_digest(builder::remove_from_index(session.registry(), command.index, command.entries,
                                          session.stop()));
}

void run(const IndexAnnotateCommand& command, Session& session) {
  print_digest(builder::annotate_index(session.registry(), command.index, command.annotations,
                                       session.stop()));
}

void run(const IndexInspectCommand& command, Session& session) {
  const AnyDocument document = session.registry().get_manifest(command.name, session.stop());
  if (command.raw) return print(document.bytes);
  if (command.format.kind == OutputFormat::Kind::table)
    return print(text_of(command.name, document));
  print(format_row(command.format, json_of(command.name, document)));
}

}  // namespace strake::cli
