// layer.json:
//
//     { "schema": 1, "tarSize": 1234,
//       "tree":  { "origin": "sealed", "xattrs": "trusted", "boot": "…", "synced": false },
//       "tar":   { "boot": "…", "synced": false },
//       "blobs": [ { "blob": { …descriptor… }, "repositories": ["docker.io/library/alpine"] } ] }

#include "layers/layer_record.h"

#include <sys/stat.h>
#include <time.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <unordered_map>

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
  if (record.tar) out["tar"] = {{"boot", record.tar->boot_id}, {"synced", record.tar->synced}};
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
  if (const auto tar = object.find("tar"); tar != object.end())
    record.tar = {oci::string_member(*tar, "boot"), tar->value("synced", false)};
  for (const json& known : object.value("blobs", json::array()))
    record.blobs.push_back(parse_known_blob(known));
  return record;
}

std::optional<LayerRecord> parse_file(const fs::path& file) {
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

/// Each step of a build asks for the records of all layers below it: one system call then tells
/// that a file is still the one that was parsed.
class ParsedRecords {
 public:
  std::optional<LayerRecord> read(const fs::path& file) {
    struct ::stat status;
    if (::stat(file.c_str(), &status) != 0) return parse_file(file);
    {
      const std::lock_guard lock(mutex_);
      const auto known = records_.find(file.native());
      if (known != records_.end() && known->second.is_of(status)) return known->second.record;
    }
    std::optional<LayerRecord> record = parse_file(file);
    if (!record || is_fresh(status)) return record;
    const std::lock_guard lock(mutex_);
    records_.insert_or_assign(file.native(), Parsed{status, *record});
    return record;
  }

 private:
  struct Parsed {
    struct ::stat status;
    LayerRecord record;

    bool is_of(const struct ::stat& other) const {
      return status.st_ino == other.st_ino && status.st_dev == other.st_dev &&
             status.st_size == other.st_size && status.st_ctim.tv_sec == other.st_ctim.tv_sec &&
             status.st_ctim.tv_nsec == other.st_ctim.tv_nsec;
    }
  };

  /// Written again within a tick of the kernel's clock it could look the same.
  static bool is_fresh(const struct ::stat& status) {
    struct timespec now;
    ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    const auto age_ns = (now.tv_sec - status.st_ctim.tv_sec) * 1'000'000'000LL +
                        (now.tv_nsec - status.st_ctim.tv_nsec);
    return age_ns < 20'000'000;
  }

  std::mutex mutex_;
  std::unordered_map<std::string, Parsed> records_;
};

}  // namespace

bool LayerRecord::Form::is_trusted() const {
  return synced || (!base::boot_id().empty() && boot_id == base::boot_id());
}

std::optional<LayerRecord> read_layer_record(const fs::path& directory) {
  static ParsedRecords records;
  return records.read(directory / "layer.json");
}

void write_layer_record(const fs::path& directory, const LayerRecord& record) {
  base::write_file_atomically(directory / "layer.json", to_json(record).dump() + "\n", 0600,
                              base::Durability::none);
}

}  // namespace strake::layers
