#include <ctime>
#include <nlohmann/json.hpp>

#include "builder/cli/commands/commands.h"
#include "builder/cli/commands/image_lookup.h"
#include "builder/cli/terminal_io.h"
#include "builder/cli/terminal_text.h"
#include "builder/cli/text_table.h"

namespace strake::cli {
namespace {

constexpr std::size_t kShownInstruction = 45;

struct Row {
  std::string id, age, created, created_by, size, comment;
};

/// The newest step first; only that one has an id that still is an image.
std::vector<Row> make_rows(const HistoryCommand& command, const layers::PlatformImage& image,
                           const oci::ImageConfig& config) {
  std::vector<Row> rows;
  std::size_t layer = 0;
  for (const oci::History& step : config.history) {
    std::uint64_t size = 0;
    if (!step.empty_layer && layer < image.layers.size())
      size = image.layers[layer++].tar_size_bytes;
    const std::int64_t created = parse_rfc3339(step.created);
    const std::string text = printable(step.created_by);
    rows.push_back(
        {.id = "<missing>",
         .age = step.created.empty() ? "N/A" : format_age(std::time(nullptr) - created),
         .created = step.created,
         .created_by = command.full_text ? text : fit(text, kShownInstruction),
         .size = command.human ? format_bytes(static_cast<double>(size)) : std::to_string(size),
         .comment = step.comment});
  }
  if (!rows.empty()) rows.back().id = shown_id(image.config.digest, command.full_text);
  std::reverse(rows.begin(), rows.end());
  return rows;
}

std::string table(const HistoryCommand& command, const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> cells{
      {"IMAGE", command.human ? "CREATED" : "CREATED AT", "CREATED BY", "SIZE", "COMMENT"}};
  for (const Row& row : rows)
    cells.push_back(
        {row.id, command.human ? row.age : row.created, row.created_by, row.size, row.comment});
  return text_table(cells);
}

nlohmann::ordered_json to_json(const Row& row) {
  return {{"ID", row.id},
          {"CreatedSince", row.age},
          {"CreatedAt", row.created},
          {"CreatedBy", row.created_by},
          {"Size", row.size},
          {"Comment", row.comment}};
}

}  // namespace

void run(const HistoryCommand& command, Session& session) {
  const layers::ImageRecord record = find_image(session, command.name);
  const layers::PlatformImage& image = choose_platform(record, command.platform);
  const oci::ImageConfig config = oci::parse_image_config(read_config(session, image));
  const std::vector<Row> rows = make_rows(command, image, config);
  if (command.format.kind == OutputFormat::Kind::table && !command.quiet)
    return print(table(command, rows));
  std::string out;
  for (const Row& row : rows)
    out += command.quiet ? row.id + "\n" : format_row(command.format, to_json(row));
  print(out);
}

}  // namespace strake::cli
