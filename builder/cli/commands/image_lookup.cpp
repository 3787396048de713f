#include "builder/cli/commands/image_lookup.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "builder/cli/go_template.h"
#include "layers/base/error.h"

namespace strake::cli {
namespace {

bool could_be_id(std::string_view word) {
  if (word.starts_with("sha256:")) word.remove_prefix(7);
  return word.size() >= 2 && word.size() <= 64 &&
         word.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::optional<layers::ImageRecord> find_by_reference(const layers::ImageStore& images,
                                                     const std::string& word) {
  const oci::Reference reference = oci::parse_reference(word);
  if (auto found = images.find(reference.str())) return found;
  if (!reference.digest) return std::nullopt;
  // "name@sha256:…": the name may stand with a tag, the digest is the manifest's or the index's.
  for (layers::ImageRecord& image : images.list()) {
    const std::optional<oci::Reference> name = name_of(image);
    if (!name || name->repository != reference.repository) continue;
    const bool same_index = image.index && image.index->digest == *reference.digest;
    const bool same_manifest = std::any_of(
        image.platforms.begin(), image.platforms.end(), [&](const layers::PlatformImage& platform) {
          return platform.manifest && platform.manifest->digest == *reference.digest;
        });
    if (same_index || same_manifest) return std::move(image);
  }
  return std::nullopt;
}

base::Error no_such_image(const layers::ImageStore& images, const std::string& word) {
  std::vector<std::string> known;
  for (const layers::ImageRecord& image : images.list())
    if (const auto name = name_of(image)) known.push_back(name->familiar());
  base::Error error(base::ErrorCode::not_found, "there is no local image " + base::quoted(word));
  if (const std::string near = base::nearest(word, known); !near.empty())
    error.set_hint("did you mean " + base::quoted(near) + "?");
  return error;
}

}  // namespace

std::optional<oci::Reference> name_of(const layers::ImageRecord& image) {
  if (image.reference.starts_with("sha256:")) return std::nullopt;
  return oci::parse_reference(image.reference);
}

std::optional<layers::ImageRecord> look_up_image(Session& session, const std::string& word) {
  const layers::ImageStore& images = session.images();
  if (!word.starts_with("sha256:"))
    if (auto found = find_by_reference(images, word)) return found;
  return could_be_id(word) ? images.find_by_id(word) : std::nullopt;
}

layers::ImageRecord find_image(Session& session, const std::string& word) {
  if (auto found = look_up_image(session, word)) return *std::move(found);
  throw no_such_image(session.images(), word);
}

const layers::PlatformImage& choose_platform(const layers::ImageRecord& image,
                                             const std::optional<oci::Platform>& wanted) {
  std::vector<oci::Platform> platforms;
  for (const layers::PlatformImage& candidate : image.platforms)
    platforms.push_back(candidate.platform);
  int best = oci::best_match(wanted.value_or(oci::host_platform()), platforms);
  if (best < 0 && !wanted && !platforms.empty()) best = 0;
  if (best < 0)
    throw base::Error(base::ErrorCode::not_found, "image " + base::quoted(image.reference) +
                                                      " is not there for platform " +
                                                      wanted.value_or(oci::host_platform()).str());
  return image.platforms[static_cast<std::size_t>(best)];
}

std::string read_config(Session& session, const layers::PlatformImage& image) {
  if (std::optional<std::string> config = session.blobs().read(image.config.digest))
    return *std::move(config);
  throw base::Error(base::ErrorCode::not_found,
                    "the config " + image.config.digest.str() + " is missing from the store")
      .hint("build or pull the image again");
}

std::string format_row(const OutputFormat& format, const nlohmann::ordered_json& row) {
  if (format.kind == OutputFormat::Kind::json) return row.dump() + "\n";
  return render_template(format.go_template, row) + "\n";
}

std::string shown_id(const base::Digest& id, bool full) {
  return full ? id.str() : id.hex().substr(0, 12);
}

}  // namespace strake::cli
