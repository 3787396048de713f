#pragma once

#include <filesystem>

#include "layers/store.h"

namespace strake::builder {

/// A directory of the store with the mount points of every command, to be put below all layers of
/// its root: then no command needs to have them made. Made if it is not there.
std::filesystem::path mount_point_layer(const layers::Store& store);

}  // namespace strake::builder
