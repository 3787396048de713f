// images/<hex of the name's digest>:
//
//     { "schema": 1, "reference": "…", "created": 1700000000, "index": { …descriptor… },
//       "platforms": [ { "platform": "linux/amd64", "config": {…}, "manifest": {…},
//                        "layers": [ { "diffId": "sha256:…", "tarSize": 1234 } ] } ] }

#include "layers/image_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/log.h"
#include "layers/base/rooted_directory.h"
#include "layers/oci/json.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::Error;
using base::ErrorCode;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

constexpr std::uint64_t kSchema = 1;

fs::path file_of(const Store& store, std::string_view reference) {
  return store.images() / base::Digest::of(reference).hex();
}

ordered_json platform_to_json(const oci::Platform& platform) {
  ordered_json out = {{"os", platform.os}, {"architecture", platform.architecture}};
  if (!platform.variant.empty()) out["variant"] = platform.variant;
  if (!platform.os_version.empty()) out["os.version"] = platform.os_version;
  return out;
}

ordered_json to_json(const ImageRecord& image) {
  ordered_json platforms = ordered_json::array();
  for (const PlatformImage& one : image.platforms) {
    ordered_json layers = ordered_json::array();
    for (const oci::Layer& layer : one.layers)
      layers.push_back({{"diffId", layer.diff_id.digest.str()}, {"tarSize", layer.tar_size_bytes}});
    ordered_json out = {{"platform", platform_to_json(one.platform)},
                        {"config", oci::to_json(one.config)},
                        {"layers", std::move(layers)}};
    if (one.manifest) out["manifest"] = oci::to_json(*one.manifest);
    platforms.push_back(std::move(out));
  }
  ordered_json out = {{"schema", kSchema},
                      {"reference", image.reference},
                      {"created", image.created_seconds},
                      {"platforms", std::move(platforms)}};
  if (image.index) out["index"] = oci::to_json(*image.index);
  return out;
}

PlatformImage parse_platform_image(const json& object) {
  PlatformImage image;
  const json& platform = object.at("platform");
  image.platform = {.os = oci::string_member(platform, "os"),
                    .architecture = oci::string_member(platform, "architecture"),
                    .variant = oci::string_member(platform, "variant"),
                    .os_version = oci::string_member(platform, "os.version")};
  image.config = oci::parse_descriptor(object.at("config"));
  for (const json& layer : object.at("layers"))
    image.layers.push_back({{base::Digest::parse(oci::string_member(layer, "diffId"))},
                            oci::size_member(layer, "tarSize")});
  if (const auto manifest = object.find("manifest"); manifest != object.end())
    image.manifest = oci::parse_descriptor(*manifest);
  return image;
}

ImageRecord parse_image(const json& object) {
  ImageRecord image;
  image.reference = oci::string_member(object, "reference");
  image.created_seconds = object.at("created").get<std::int64_t>();
  for (const json& platform : object.at("platforms"))
    image.platforms.push_back(parse_platform_image(platform));
  if (const auto index = object.find("index"); index != object.end())
    image.index = oci::parse_descriptor(*index);
  return image;
}

std::optional<ImageRecord> read_image(const fs::path& file) {
  std::string damage;
  try {
    const std::optional<std::string> text = base::read_file(file, 16 << 20);
    if (!text) return std::nullopt;
    const json object = oci::parse_json(*text, file.native());
    if (oci::size_member(object, "schema") == kSchema) return parse_image(object);
    damage = "it has another format";
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt && error.code() != ErrorCode::invalid_input) throw;
    damage = error.what();
  } catch (const json::exception& error) {
    damage = error.what();
  }
  base::log_warning("ignoring the local image in " + base::quoted(file.native()) + ": " + damage);
  return std::nullopt;
}

bool has_id(const ImageRecord& image, std::string_view hex_prefix) {
  return std::ranges::any_of(image.platforms, [&](const PlatformImage& one) {
    return one.config.digest.hex().starts_with(hex_prefix);
  });
}

bool same_ids(const ImageRecord& a, const ImageRecord& b) {
  return std::ranges::equal(
      a.platforms, b.platforms, {}, [](const PlatformImage& one) { return one.config.digest; },
      [](const PlatformImage& one) { return one.config.digest; });
}

}  // namespace

void ImageStore::put(const ImageRecord& image) const {
  // Not synced: the blobs that it names are not either.
  base::write_file_atomically(file_of(*store_, image.reference), to_json(image).dump() + "\n", 0600,
                              base::Durability::none);
}

std::optional<ImageRecord> ImageStore::find(std::string_view reference) const {
  std::optional<ImageRecord> image = read_image(file_of(*store_, reference));
  if (image && image->reference != reference) return std::nullopt;
  return image;
}

std::optional<ImageRecord> ImageStore::find_by_id(std::string_view id_prefix) const {
  std::string_view hex = id_prefix;
  if (hex.starts_with("sha256:")) hex.remove_prefix(7);
  if (hex.empty()) return std::nullopt;
  std::optional<ImageRecord> found;
  for (ImageRecord& image : list()) {
    if (!has_id(image, hex)) continue;
    if (found && !same_ids(*found, image))
      throw Error(ErrorCode::invalid_input, "image id " + base::quoted(id_prefix) +
                                                " is ambiguous: " + found->reference + " and " +
                                                image.reference + " begin with it")
          .hint("give more digits of the id");
    if (!found) found = std::move(image);
  }
  return found;
}

std::vector<ImageRecord> ImageStore::list() const {
  const std::string subject = store_->images().native();
  const base::FileDescriptor directory(::open(subject.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw base::system_error(errno, "open", subject);
  std::vector<ImageRecord> images;
  for (const std::string& name : base::list_directory(directory.get(), subject)) {
    if (name.size() != 64) continue;  // a file being written
    if (std::optional<ImageRecord> image = read_image(store_->images() / name))
      images.push_back(std::move(*image));
  }
  std::ranges::sort(images, {}, &ImageRecord::reference);
  return images;
}

bool ImageStore::remove(std::string_view reference) const {
  const fs::path file = file_of(*store_, reference);
  if (::unlink(file.c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  throw base::system_error(errno, "remove the image", reference);
}

}  // namespace strake::layers
