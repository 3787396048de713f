#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "builder/images/artifacts.h"
#include "builder/images/image_location.h"
#include "builder/images/index_images.h"
#include "builder/output/annotations.h"
#include "layers/oci/platform.h"
#include "layers/oci/reference.h"

namespace strake::cli {

/// How a verb prints its result.
struct OutputFormat {
  enum class Kind { table, json, go_template };
  Kind kind = Kind::table;
  std::string go_template = "";  // "{{.Id}}"
};

// Verbs about images where they are: in registries, layouts and archives.

struct IndexCreateCommand {
  builder::IndexRequest request;              // but for the descriptors of the files
  std::vector<std::string> descriptor_files;  // JSON
  std::string metadata_file;                  // "" for none
  bool dry_run = false, quiet = false;
};
struct IndexRemoveCommand {
  oci::Reference index;
  std::vector<std::string> entries;  // platforms or digests
};
struct IndexAnnotateCommand {
  oci::Reference index;
  std::vector<builder::Annotation> annotations;
};
struct IndexInspectCommand {
  oci::Reference name;
  bool raw = false;
  OutputFormat format;
};
struct CopyCommand {
  builder::ImageLocation source, target;
  std::vector<oci::Platform> platforms;
  bool all_tags = false, referrers = false, quiet = false;
};
struct TagsCommand {
  oci::Repository repository;
  OutputFormat format;
};
struct DeleteCommand {
  std::vector<oci::Reference> names;
  OutputFormat format;
};
struct DigestCommand {
  std::vector<oci::Reference> names;
  std::optional<oci::Platform> platform;
  OutputFormat format;
};
struct ReferrersCommand {
  oci::Reference subject;
  std::string artifact_type;  // "" for all
  OutputFormat format;
};
struct AttachCommand {
  oci::Reference subject;
  std::string artifact_type;
  std::vector<builder::AttachedFile> files;
  std::map<std::string, std::string> annotations;
  bool quiet = false;
};

}  // namespace strake::cli
