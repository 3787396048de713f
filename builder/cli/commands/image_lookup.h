#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "builder/cli/arguments.h"
#include "builder/cli/session.h"
#include "layers/oci/image_config.h"

namespace strake::cli {

/// The name of an image; nullopt for one that was built without a tag: its record goes by its id.
std::optional<oci::Reference> name_of(const layers::ImageRecord& image);

/// The local image that `word` names, if there is one.
std::optional<layers::ImageRecord> look_up_image(Session& session, const std::string& word);

/// The local image that `word` names: a reference, or the beginning of an id. Throws
/// Error(not_found) with the nearest name as a hint.
layers::ImageRecord find_image(Session& session, const std::string& word);

/// The image's platform that runs best on `wanted`, or else on this machine; any, if none does and
/// none was wanted. Throws Error(not_found).
const layers::PlatformImage& choose_platform(const layers::ImageRecord& image,
                                             const std::optional<oci::Platform>& wanted);

/// The config document, as it is stored. Throws Error(not_found) when it is not there any more.
std::string read_config(Session& session, const layers::PlatformImage& image);

/// A row of a list as the user wants it: a line of JSON, or the template's text.
std::string format_row(const OutputFormat& format, const nlohmann::ordered_json& row);

/// "sha256:" and 64 digits, or the first 12 digits.
std::string shown_id(const base::Digest& id, bool full);

}  // namespace strake::cli
