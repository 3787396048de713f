#include <fnmatch.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/image_lookup.h"
#include "builder/cli/terminal_io.h"
#include "builder/cli/terminal_text.h"
#include "builder/cli/text_table.h"

namespace strake::cli {
namespace {

/// One line of the list, as text.
struct Row {
  std::string repository, tag, digest, id, age, created, size;
};

bool matches(const std::string& pattern, const std::optional<oci::Reference>& name) {
  if (pattern.empty()) return true;
  if (!name) return false;
  const auto fits = [&](const std::string& text) {
    return fnmatch(pattern.c_str(), text.c_str(), FNM_PATHNAME) == 0;
  };
  oci::Reference untagged = *name;
  untagged.tag.reset();
  untagged.digest.reset();
  return fits(name->familiar()) || fits(name->str()) || fits(untagged.familiar()) ||
         fits(name->repository.str());
}

Row make_row(const ImagesCommand& command, const layers::ImageRecord& image,
             const std::optional<oci::Reference>& name) {
  const layers::PlatformImage& platform = choose_platform(image, std::nullopt);
  const std::optional<oci::Descriptor>& root = image.index ? image.index : platform.manifest;
  double size = 0;
  for (const oci::Layer& layer : platform.layers) size += static_cast<double>(layer.tar_size_bytes);
  std::string repository = "<none>";
  if (name) repository = oci::Reference{name->repository, {}, {}}.familiar();
  return {.repository = std::move(repository),
          .tag = name ? name->tag.value_or("<none>") : "<none>",
          .digest = root ? root->digest.str() : "<none>",
          .id = shown_id(platform.config.digest, command.full_ids),
          .age = format_age(std::time(nullptr) - image.created_seconds),
          .created = format_rfc3339(image.created_seconds),
          .size = format_bytes(size)};
}

nlohmann::ordered_json to_json(const Row& row) {
  return {{"Repository", row.repository},
          {"Tag", row.tag},
          {"ID", row.id},
          {"Digest", row.digest},
          {"CreatedSince", row.age},
          {"CreatedAt", row.created},
          {"Size", row.size}};
}

std::string table(const ImagesCommand& command, const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> cells{{"REPOSITORY", "TAG"}};
  if (command.digests) cells[0].emplace_back("DIGEST");
  for (const char* heading : {"IMAGE ID", "CREATED", "SIZE"}) cells[0].emplace_back(heading);
  for (const Row& row : rows) {
    std::vector<std::string> line{row.repository, row.tag};
    if (command.digests) line.push_back(row.digest);
    for (const std::string& cell : {row.id, row.age, row.size}) line.push_back(cell);
    cells.push_back(std::move(line));
  }
  return text_table(cells);
}

}  // namespace

void run(const ImagesCommand& command, Session& session) {
  std::vector<Row> rows;
  for (const layers::ImageRecord& image : session.images().list()) {
    const std::optional<oci::Reference> name = name_of(image);
    if (matches(command.pattern, name) && !image.platforms.empty())
      rows.push_back(make_row(command, image, name));
  }
  if (command.format.kind == OutputFormat::Kind::table && !command.quiet)
    return print(table(command, rows));
  std::string out;
  for (const Row& row : rows)
    out += command.quiet ? row.id + "\n" : format_row(command.format, to_json(row));
  print(out);
}

}  // namespace strake::cli
