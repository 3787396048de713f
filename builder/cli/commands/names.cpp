#include <utility>

#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/image_lookup.h"
#include "builder/cli/terminal_io.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

/// The names that `word` stands for: itself, or all names of the image whose id it begins.
std::vector<std::string> names_meant(Session& session, const std::string& word) {
  const layers::ImageRecord image = find_image(session, word);
  const std::optional<oci::Reference> name = name_of(image);
  const bool by_name = name && !word.starts_with("sha256:") &&
                       word.find('@') == std::string::npos && oci::parse_reference(word) == *name;
  if (by_name) return {image.reference};
  std::vector<std::string> names;
  for (const layers::ImageRecord& other : session.images().list())
    if (other.platforms == image.platforms) names.push_back(other.reference);
  return names;
}

std::string removed(const std::string& name) {
  if (name.starts_with("sha256:")) return "Deleted: " + name + "\n";
  return "Untagged: " + oci::parse_reference(name).familiar() + "\n";
}

}  // namespace

void run(const TagCommand& command, Session& session) {
  layers::ImageRecord image = find_image(session, command.source);
  const std::string source = std::exchange(image.reference, command.target.str());
  session.images().put(image);
  // An image that had no name has one now.
  if (source.starts_with("sha256:")) session.images().remove(source);
}

void run(const RemoveCommand& command, Session& session) {
  for (const std::string& word : command.names) {
    try {
      for (const std::string& name : names_meant(session, word))
        if (session.images().remove(name)) print(removed(name));
    } catch (const base::Error& error) {
      if (!command.force || error.code() != base::ErrorCode::not_found) throw;
    }
  }
}

}  // namespace strake::cli
