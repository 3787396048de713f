#include <nlohmann/json.hpp>

#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/image_lookup.h"
#include "builder/cli/go_template.h"
#include "builder/cli/terminal_io.h"
#include "builder/cli/text_table.h"
#include "layers/oci/json.h"

namespace strake::cli {
namespace {

using Json = nlohmann::ordered_json;

/// Adds the names and digests under which the image is known here.
void add_names(Json& out, Session& session, const layers::PlatformImage& image) {
  Json tags = Json::array();
  Json digests = Json::array();
  for (const layers::ImageRecord& record : session.images().list()) {
    for (const layers::PlatformImage& platform : record.platforms) {
      if (platform.config.digest != image.config.digest) continue;
      std::optional<oci::Reference> name = name_of(record);
      if (!name) continue;
      tags.push_back(name->familiar());
      const std::optional<oci::Descriptor>& root = record.index ? record.index : platform.manifest;
      if (!root) continue;
      name->tag.reset();
      name->digest = root->digest;
      if (std::find(digests.begin(), digests.end(), Json(name->familiar())) == digests.end())
        digests.push_back(name->familiar());
    }
  }
  out["RepoTags"] = std::move(tags);
  out["RepoDigests"] = std::move(digests);
}

std::string text_of(const Json& config, const char* key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : "";
}

/// The object `docker inspect` shows, from what is known of an image.
Json describe_image(Session& session, const layers::ImageRecord& record,
                    const layers::PlatformImage& image) {
  const Json config = Json::parse(read_config(session, image));
  Json out;
  out["Id"] = image.config.digest.str();
  add_names(out, session, image);
  out["Created"] = text_of(config, "created");
  out["Author"] = text_of(config, "author");
  out["Config"] = config.value("config", Json::object());
  out["Architecture"] = image.platform.architecture;
  if (!image.platform.variant.empty()) out["Variant"] = image.platform.variant;
  out["Os"] = image.platform.os;
  std::uint64_t size = 0;
  Json diff_ids = Json::array();
  for (const oci::Layer& layer : image.layers) {
    size += layer.tar_size_bytes;
    diff_ids.push_back(layer.diff_id.digest.str());
  }
  out["Size"] = size;
  out["RootFS"] = {{"Type", "layers"}, {"Layers", std::move(diff_ids)}};
  out["Metadata"] = {{"LastTagTime", format_rfc3339(record.created_seconds)}};
  if (image.manifest) out["Descriptor"] = oci::to_json(*image.manifest);
  return out;
}

}  // namespace

void run(const InspectCommand& command, Session& session) {
  Json all = Json::array();
  for (const std::string& name : command.names) {
    const layers::ImageRecord record = find_image(session, name);
    all.push_back(describe_image(session, record, choose_platform(record, command.platform)));
  }
  if (command.format.kind != OutputFormat::Kind::go_template) return print(all.dump(4) + "\n");
  std::string out;
  for (const Json& image : all) out += format_row(command.format, image);
  print(out);
}

}  // namespace strake::cli
