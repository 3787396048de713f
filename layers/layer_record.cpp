// layer.json:
//
//     { "schema": 1, "tarSize": 1234,
//       "tree":  { "origin": "sealed", "xattrs": "trusted", "boot": "…", "synced": false },
//       "blobs": [ { "blob": { …descriptor… }, "repositories": ["docker.io/library/alpine"] } ] }

#include "layers/layer_record.h"

#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/oci/json.h"

namespace strake::layers {
namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr std::uint64_t kSchema = 1;

ordered_json to_json(const LayerRecord& record) {
  ordered_json out = {{"schema", kSchema}, {"tarSize", record.tar_size_bytes}};
  if (record.tree)
    out["tree"] = {
        {"origin", record.tree->origin == LayerRecord::Origin::sealed ? "sealed" : "unpacked"},
        {"xattrs", record.tree->xattrs == XattrNamespace::trusted ? "trusted" : "user"},
        {"boot", record.tree->boot_id},
        {"synced", record.tree->synced}};
  ordered_json blobs = ordered_json::array();
  for (const KnownBlob& known : record.blobs) {
    ordered_json repositories = ordered_json::array();
    for (const oci::Repository& repository : known.repositories)
      repositories.push_back(repository.str());
    blobs.push_back({{"blob", oci::to_json(known.blob)}, {"repositories", repositories}});
  }
  out["blobs"] = std::move(blobs);
  return out;
}

LayerRecord::Tree parse_tree(const json& object) {
  LayerRecord::Tree tree;
  if (oci::string_member(object, "origin") == "sealed") tree.origin = LayerRecord::Origin::sealed;
  if (oci::string_member(object, "xattrs") == "user") tree.xattrs = XattrNamespace::user;
  tree.boot_id = oci::string_member(object, "boot");
  tree.synced = object.value("synced", false);
  return tree;
}

KnownBlob parse_known_blob(const json& object) {
  KnownBlob known{oci::parse_descriptor(object.at("blob")), {}};
  for (const std::string& name : oci::strings_member(object, "repositories")) {
    const std::size_t slash = name.find('/');
    if (slash != std::string::npos)
      known.repositories.push_back({name.substr(0, slash), name.substr(slash + 1)});
  }
  return known;
}

LayerRecord parse(const json& object) {
  LayerRecord record;
  record.tar_size_bytes = oci::size_member(object, "tarSize");
  if (const auto tree = object.find("tree"); tree != object.end()) record.tree = parse_tree(*tree);
  for (const json& known : object.value("blobs", json::array()))
    record.blobs.push_back(parse_known_blob(known));
  return record;
}

}  // namespace

std::optional<LayerRecord> read_layer_record(const fs::path& directory) {
  const fs::path file = directory / "layer.json";
  try {
    const std::optional<std::string> text = base::read_file(file, 1 << 20);
    if (!text) return std::nullopt;
    const json object = oci::parse_json(*text, file.native());
    if (oci::size_member(object, "schema") != kSchema) return std::nullopt;
    return parse(object);
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::corrupt) throw;
    base::log_debug(std::string("ignoring a damaged layer record: ") + error.what());
  } catch (const json::exception& error) {
    base::log_debug("ignoring a damaged layer record " + file.native() + ": " + error.what());
  }
  return std::nullopt;
}

void write_layer_record(const fs::path& directory, const LayerRecord& record) {
  base::write_file_atomically(directory / "layer.json", to_json(record).dump() + "\n", 0600,
                              base::Durability::none);
}

}  // namespace strake::layers
