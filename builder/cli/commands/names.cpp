#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/image_lookup.h"
#include "builder/cli/terminal_io.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

/// The names that `word` stands for: itself, or all names of the image whose id it begins.
std::vector<std::string> names_meant(Session& session, const std::string& word) {
  const layers::ImageRecord image = find_image(session, word);
  const oci::Reference name = oci::parse_reference(image.reference);
  const bool by_name = !word.starts_with("sha256:") && word.find('@') == std::string::npos &&
                       oci::parse_reference(word) == name;
  if (by_name) return {image.reference};
  std::vector<std::string> names;
  for (const layers::ImageRecord& other : session.images().list())
    if (other.platforms == image.platforms) names.push_back(other.reference);
  return names;
}

}  // namespace

void run(const TagCommand& command, Session& session) {
  layers::ImageRecord image = find_image(session, command.source);
  image.reference = command.target.str();
  session.images().put(image);
}

void run(const RemoveCommand& command, Session& session) {
  for (const std::string& word : command.names) {
    try {
      for (const std::string& name : names_meant(session, word))
        if (session.images().remove(name))
          print("Untagged: " + oci::parse_reference(name).familiar() + "\n");
    } catch (const base::Error& error) {
      if (!command.force || error.code() != base::ErrorCode::not_found) throw;
    }
  }
}

}  // namespace strake::cli
