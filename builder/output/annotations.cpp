#include "builder/output/annotations.h"

#include <array>

#include "layers/base/error.h"

namespace strake::builder {
namespace {

struct PlaceName {
  std::string_view name;
  AnnotationPlace place;
};
constexpr std::array kPlaces = std::to_array<PlaceName>({
    {"manifest", AnnotationPlace::manifest},
    {"manifest-descriptor", AnnotationPlace::manifest_descriptor},
    {"index", AnnotationPlace::index},
    {"index-descriptor", AnnotationPlace::index_descriptor},
});

base::Error invalid(std::string_view text, const std::string& why) {
  return base::Error(base::ErrorCode::invalid_input, "annotation " + base::quoted(text) + " " + why)
      .hint("write it as KEY=VALUE or index:KEY=VALUE");
}

/// What stands before the first colon if it can only be a list of places: keys have dots or
/// capitals, or no colon.
std::string_view places_of(std::string_view head) {
  bool in_platform = false;
  for (std::size_t i = 0; i < head.size(); ++i) {
    const char c = head[i];
    if (c == ':' && !in_platform) return head.substr(0, i);
    if (c == '[') in_platform = true;
    if (c == ']') in_platform = false;
    const bool is_place = (c >= 'a' && c <= 'z') || c == '-' || c == ',' || c == '[' || c == ']';
    if (!is_place && !in_platform) return "";
  }
  return in_platform ? head : "";
}

Annotation parse_place(std::string_view text, std::string_view word) {
  Annotation annotation;
  const std::size_t bracket = word.find('[');
  const std::string_view name = word.substr(0, bracket);
  bool known = false;
  for (const PlaceName& place : kPlaces) {
    if (place.name != name) continue;
    annotation.place = place.place;
    known = true;
  }
  if (!known)
    throw invalid(text, "is for " + base::quoted(name) +
                            ", not manifest, manifest-descriptor, index or index-descriptor");
  if (bracket == word.npos) return annotation;
  if (!name.starts_with("manifest") || !word.ends_with(']'))
    throw invalid(text, "has a platform where none can be");
  annotation.platform = oci::parse_platform(word.substr(bracket + 1, word.size() - bracket - 2));
  return annotation;
}

}  // namespace

std::vector<Annotation> parse_annotations(std::string_view text, AnnotationPlace otherwise) {
  const std::size_t equals = text.find('=');
  if (equals == text.npos) throw invalid(text, "has no value");
  std::string_view key = text.substr(0, equals);
  std::string_view places = places_of(key);
  if (!places.empty() && places.size() == key.size())
    throw invalid(text, "has a platform that does not end with \"]\"");
  std::vector<Annotation> annotations;
  if (places.empty()) {
    annotations.push_back({.place = otherwise});
  } else {
    key.remove_prefix(places.size() + 1);
    for (;;) {
      const std::size_t comma = places.find(',');
      annotations.push_back(parse_place(text, places.substr(0, comma)));
      if (comma == places.npos) break;
      places.remove_prefix(comma + 1);
    }
  }
  if (key.empty()) throw invalid(text, "has no key");
  for (Annotation& annotation : annotations) {
    annotation.key = key;
    annotation.value = text.substr(equals + 1);
  }
  return annotations;
}

std::map<std::string, std::string> annotations_at(std::span<const Annotation> annotations,
                                                  AnnotationPlace place,
                                                  const std::optional<oci::Platform>& platform) {
  std::map<std::string, std::string> found;
  for (const Annotation& annotation : annotations)
    if (annotation.place == place && (!annotation.platform || annotation.platform == platform))
      found[annotation.key] = annotation.value;
  return found;
}

}  // namespace strake::builder
