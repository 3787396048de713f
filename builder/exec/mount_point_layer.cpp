#include "builder/exec/mount_point_layer.h"

#include "builder/sandbox/sandbox.h"
#include "layers/base/files.h"

namespace strake::builder {

std::filesystem::path mount_point_layer(const layers::Store& store) {
  const std::filesystem::path path = store.root() / "mount-points";
  base::make_directories(path);
  sandbox::make_mount_point_layer(path);
  return path;
}

}  // namespace strake::builder
