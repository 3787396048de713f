#include "builder/check/image_names.h"

#include <charconv>

#include "layers/base/error.h"

namespace strake::check {
namespace {

constexpr std::string_view kOfficial = "docker.io/library/";

/// The tag as written; parse_reference() fills in "latest".
std::optional<std::string> written_tag(std::string_view text) {
  text = text.substr(0, text.find('@'));
  const std::size_t slash = text.rfind('/');
  const std::size_t colon = text.find(':', slash == std::string_view::npos ? 0 : slash);
  if (colon == std::string_view::npos) return std::nullopt;
  return std::string(text.substr(colon + 1));
}

}  // namespace

std::string_view NamedImage::official() const {
  const std::string_view name = path;
  return name.starts_with(kOfficial) ? name.substr(kOfficial.size()) : "";
}

std::optional<NamedImage> named_image(const std::string& text) {
  try {
    const oci::Reference reference = oci::parse_reference(text);
    return NamedImage{reference.repository.str(), written_tag(text), reference.digest.has_value()};
  } catch (const base::Error&) {
    return std::nullopt;
  }
}

TagVersion tag_version(std::string_view tag) {
  TagVersion version;
  const char* const end = tag.data() + tag.size();
  const auto major = std::from_chars(tag.data(), end, version.major);
  if (major.ec != std::errc()) return {};
  if (major.ptr == end || *major.ptr != '.') return version;
  if (std::from_chars(major.ptr + 1, end, version.minor).ec != std::errc()) version.minor = -1;
  return version;
}

}  // namespace strake::check
