#include "layers/snapshot/lower_trees.h"

#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>

#include "layers/snapshot/node_maker.h"

namespace strake::layers {
namespace {

bool is_opaque(const char* path, XattrNamespace xattrs) {
  char value = 0;
  return ::lgetxattr(path, opaque_xattr(xattrs), &value, 1) == 1 && value == 'y';
}

}  // namespace

std::optional<std::string> LowerTrees::find(const std::string& path) const {
  std::string at;
  for (auto tree = trees_.rbegin(); tree != trees_.rend(); ++tree) {
    bool hides = false;  // what the trees below have in these directories
    for (std::size_t end = 0; end < path.size();) {
      end = std::min(path.find('/', end + 1), path.size());
      at.assign(tree->native()).append("/").append(path, 0, end);
      struct ::stat status;
      if (::lstat(at.c_str(), &status) != 0) break;  // ask the tree below
      if (end == path.size()) return is_whiteout(status) ? std::nullopt : std::optional(at);
      if (!S_ISDIR(status.st_mode)) return std::nullopt;
      hides = hides || is_opaque(at.c_str(), xattrs_);
    }
    if (hides) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace strake::layers
