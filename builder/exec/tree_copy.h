#pragma once

#include <functional>

#include "layers/base/stream.h"
#include "layers/store.h"

namespace strake::builder {

/// Unpacks the tar that `pack` writes into the directory `to`, while it is being written: one
/// thread packs, the calling one unpacks, so that what writes files is the code that is made for
/// hostile trees. Throws what either throws.
void unpack_stream(const std::function<void(base::ByteSink&)>& pack, int to,
                   const layers::Store& store);

/// Copies everything below the directory `from` (a whole file system of an image, or a part of one;
/// open for reading) into the empty directory `to` of the host: owners, permissions, times,
/// attributes and hard links; also the directory's own owner and permissions. Sockets are left out.
void copy_tree(int from, int to, const layers::Store& store);

}  // namespace strake::builder
