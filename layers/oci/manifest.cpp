#include "layers/oci/manifest.h"

#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/oci/json.h"

// What a document is, is said three times: by who carries it (Content-Type, descriptor), by its
// "mediaType", and by its members. Readers that believe different ones can be shown different
// images under one digest (CVE-2021-41190), so all that is said must agree.

namespace strake::oci {
namespace {

using base::Error;
using base::ErrorCode;
using nlohmann::json;

constexpr std::size_t kLargestDocument = 4 << 20;
constexpr std::size_t kMostLayers = 4096;
constexpr std::size_t kMostManifests = 1000;

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::corrupt, what);
}

[[noreturn]] void refuse_type(std::string_view media_type) {
  throw Error(ErrorCode::unsupported,
              "manifests of the media type " + base::quoted(media_type) + " are not supported");
}

/// A media type without parameters ("; charset=utf-8"); "" for types that say nothing.
std::string_view bare_type(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  const bool generic =
      type == "application/json" || type == "application/octet-stream" || type == "text/plain";
  return generic ? "" : type;
}

bool has(const json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && !member->is_null();
}

std::string effective_type(const json& document, std::string_view carried) {
  const std::string own = string_member(document, "mediaType");
  if (!carried.empty() && !own.empty() && carried != own)
    refuse("the manifest is said to be " + base::quoted(carried) + " and says itself to be " +
           base::quoted(own));
  if (!carried.empty()) return std::string(carried);
  if (!own.empty()) return own;
  return std::string(has(document, "manifests") ? media_type::kOciIndex : media_type::kOciManifest);
}

void check_schema_version(const json& document) {
  const std::int64_t version = integer_member(document, "schemaVersion");
  if (version == 1)
    throw Error(ErrorCode::unsupported, "manifests of schema version 1 are not supported")
        .hint("push the image again with a current tool");
  if (version != 2) refuse("the manifest's \"schemaVersion\" is not 2");
}

std::vector<Descriptor> parse_descriptors(const json& document, const char* key,
                                          std::size_t limit) {
  const auto member = document.find(key);
  if (member == document.end() || !member->is_array())
    refuse("the manifest has no array " + base::quoted(key));
  if (member->size() > limit)
    refuse(base::quoted(key) + " has " + std::to_string(member->size()) +
           " entries, the limit is " + std::to_string(limit));
  std::vector<Descriptor> descriptors;
  descriptors.reserve(member->size());
  for (const json& entry : *member) descriptors.push_back(parse_descriptor(entry));
  return descriptors;
}

Manifest parse_image_manifest(const json& document) {
  Manifest manifest;
  if (!has(document, "config")) refuse("the manifest has no \"config\"");
  manifest.config = parse_descriptor(document["config"]);
  manifest.layers = parse_descriptors(document, "layers", kMostLayers);
  manifest.annotations = string_map_member(document, "annotations");
  if (has(document, "subject")) manifest.subject = parse_descriptor(document["subject"]);
  manifest.artifact_type = string_member(document, "artifactType");
  return manifest;
}

Index parse_image_index(const json& document) {
  return {.manifests = parse_descriptors(document, "manifests", kMostManifests),
          .annotations = string_map_member(document, "annotations")};
}

template <typename T>
Document<T> serialized(const nlohmann::ordered_json& object, std::string_view media_type, T value) {
  // Annotations are users' text, which need not be UTF-8.
  std::string bytes = object.dump(2, ' ', false, json::error_handler_t::replace);
  Descriptor descriptor{.media_type = std::string(media_type),
                        .digest = base::Digest::of(bytes),
                        .size = bytes.size()};
  return {std::move(bytes), std::move(descriptor), std::move(value)};
}

nlohmann::ordered_json array_of(const std::vector<Descriptor>& descriptors) {
  auto array = nlohmann::ordered_json::array();
  for (const Descriptor& descriptor : descriptors) array.push_back(to_json(descriptor));
  return array;
}

}  // namespace

Document<ManifestOrIndex> parse_manifest(std::string bytes, std::string_view media_type) {
  if (bytes.size() > kLargestDocument)
    refuse("the manifest has " + std::to_string(bytes.size()) + " bytes, the limit is " +
           std::to_string(kLargestDocument));
  const std::string_view carried = bare_type(media_type);
  if (!carried.empty() && !is_manifest(carried) && !is_index(carried)) refuse_type(carried);
  const json document = parse_json(bytes, "the manifest");
  if (!document.is_object()) refuse("the manifest is not a JSON object");
  check_schema_version(document);
  const std::string type = effective_type(document, carried);
  const bool looks_like_index = has(document, "manifests");
  const bool looks_like_image =
      has(document, "layers") || has(document, "config") || has(document, "fsLayers");
  if (looks_like_index && looks_like_image) refuse("the manifest is an image and an index at once");

  ManifestOrIndex value;
  if (is_index(type)) {
    value = parse_image_index(document);
  } else if (is_manifest(type)) {
    value = parse_image_manifest(document);
  } else {
    refuse_type(type);
  }
  Descriptor descriptor{
      .media_type = type, .digest = base::Digest::of(bytes), .size = bytes.size()};
  return {std::move(bytes), std::move(descriptor), std::move(value)};
}

void require_image(const Manifest& manifest) {
  const auto unsupported = [](const char* what, const std::string& type) {
    return Error(ErrorCode::unsupported, std::string("not a container image: its ") + what +
                                             " has the media type " + base::quoted(type));
  };
  if (!manifest.artifact_type.empty()) throw unsupported("artifact", manifest.artifact_type);
  const std::string& config = manifest.config.media_type;
  if (config != media_type::kOciConfig && config != media_type::kDockerConfig)
    throw unsupported("config", config);
  for (const Descriptor& layer : manifest.layers)
    if (!is_layer(layer.media_type)) throw unsupported("layer", layer.media_type);
}

Document<Manifest> make_manifest(Manifest manifest, bool docker) {
  const std::string_view type = docker ? media_type::kDockerManifest : media_type::kOciManifest;
  nlohmann::ordered_json object;
  object["schemaVersion"] = 2;
  object["mediaType"] = type;
  if (!manifest.artifact_type.empty()) object["artifactType"] = manifest.artifact_type;
  object["config"] = to_json(manifest.config);
  object["layers"] = array_of(manifest.layers);
  if (manifest.subject) object["subject"] = to_json(*manifest.subject);
  if (!manifest.annotations.empty()) object["annotations"] = manifest.annotations;
  return serialized(object, type, std::move(manifest));
}

Document<Index> make_index(Index index, bool docker) {
  const std::string_view type = docker ? media_type::kDockerIndex : media_type::kOciIndex;
  nlohmann::ordered_json object;
  object["schemaVersion"] = 2;
  object["mediaType"] = type;
  object["manifests"] = array_of(index.manifests);
  if (!index.annotations.empty()) object["annotations"] = index.annotations;
  return serialized(object, type, std::move(index));
}

}  // namespace strake::oci
