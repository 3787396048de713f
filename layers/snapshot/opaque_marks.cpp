#include "layers/snapshot/opaque_marks.h"

#include <sys/xattr.h>

#include <cerrno>

#include "layers/base/error.h"
#include "layers/snapshot/layer_directories.h"

namespace strake::layers {

bool OpaqueMarks::keep_or_drop(int directory, const std::string& path) {
  const bool hidden = !hiding_.empty() && is_below(path, hiding_);
  if (!hidden && below_.find(path)) {
    hiding_ = path;
    return true;
  }
  if (::fremovexattr(directory, opaque_xattr(xattrs_)) != 0)
    throw base::system_error(errno, "change the attributes of", path);
  return false;
}

}  // namespace strake::layers
