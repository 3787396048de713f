#include "layers/snapshot/whiteout.h"

#include <utility>

namespace strake::layers {

WhiteoutName parse_whiteout(std::string_view name) {
  using Kind = WhiteoutName::Kind;
  if (!name.starts_with(kWhiteoutPrefix)) return {};
  if (name == kOpaqueName) return {Kind::opaque};
  const std::string_view target = name.substr(kWhiteoutPrefix.size());
  if (target.empty() || target == "." || target == "..") return {Kind::invalid};
  // AUFS kept its bookkeeping under the doubled prefix; no layer can hold a file of such a name, so
  // there is nothing to remove either.
  if (target.starts_with(kWhiteoutPrefix)) return {Kind::ignored};
  return {Kind::remove, target};
}

std::string whiteout_name(std::string_view target) {
  return std::string(kWhiteoutPrefix).append(target);
}

TarEntry marker_entry(std::string path) {
  TarEntry entry;
  entry.path = std::move(path);
  entry.mode = 0;
  return entry;
}

}  // namespace strake::layers
