#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/digest.h"

namespace strake::cache {

/// Name of a cache record: digest of everything that can change what a step produces.
struct CacheKey {
  base::Digest digest;
  auto operator<=>(const CacheKey&) const = default;
};

/// One ingredient of a key, kept so that a miss can name what changed.
struct KeyField {
  std::string name, value;
  bool operator==(const KeyField&) const = default;
};

/// Field names that explain() has words for; any other name is shown as it is.
namespace field {
inline constexpr std::string_view kBase = "base";        // ChainID of the file system below
inline constexpr std::string_view kCommand = "command";  // what RUN executes
inline constexpr std::string_view kFiles = "files";      // content digest; "files <what>" too
inline constexpr std::string_view kVariable = "env ";    // "env PATH": a variable of the step
std::string variable(std::string_view name);
}  // namespace field

/// Values longer than this are kept in records as "sha256:… (n bytes)".
inline constexpr std::size_t kLongValueBytes = 4096;

/// Whether a variable's name says that its value must not be shown or stored (API_KEY, DB_PASSWORD,
/// NPM_TOKEN; not PUBLIC_KEY).
bool looks_secret(std::string_view variable_name);

/// Builds a key from named fields. Each name and value is hashed in full behind its length, so no
/// two lists of fields collide, and the order of the fields counts. Names may repeat.
class KeyBuilder {
 public:
  /// `schema` names the kind of step and the version of its meaning: "run/1".
  explicit KeyBuilder(std::string_view schema);

  KeyBuilder& field(std::string_view name, std::string_view value);

  /// The fields so far, for the record. Long values and the values of variables that look secret
  /// are replaced by their digest.
  const std::vector<KeyField>& fields() const noexcept { return fields_; }

  /// The key of all fields; the builder must not be used for more fields afterwards.
  CacheKey finish();

 private:
  base::Sha256 sha256_;
  std::vector<KeyField> fields_;
};

}  // namespace strake::cache

template <>
struct std::hash<strake::cache::CacheKey> {
  std::size_t operator()(const strake::cache::CacheKey& key) const noexcept {
    return std::hash<strake::base::Digest>()(key.digest);
  }
};
