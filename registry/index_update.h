#pragma once

#include <functional>
#include <stop_token>

#include "registry/client.h"

namespace strake::registry {

/// Changes an index; called again on each newer one that is found at the tag, so it must not mind
/// that its change is there already. A repository that has nothing at the tag gives an empty index.
using IndexChange = std::function<void(oci::Index& index)>;

struct IndexUpdateOptions {
  /// Waited for, with chance added, before the tag is read back: longer than another writer needs
  /// from reading the tag to writing it.
  std::chrono::milliseconds settle{150};
  int most_rounds = 20;
  /// The tag has to be there. Throws Error(not_found).
  bool must_exist = false;
  RetryEnvironment environment = RetryEnvironment::real();
};

/// Applies `change` to the index at `tag` (its digest is not looked at), whoever else is changing
/// it, and returns what the tag ends up with. The manifests that the index names must be there. An
/// index that the change leaves as it is keeps its bytes.
///
/// Registries have no compare-and-swap. So the tag is read right before it is written, and read
/// back after a while; when the change got lost (another writer had read the tag before and wrote
/// after) it is made again. That leaves no lost update as long as nobody needs longer from reading
/// to writing than `settle`. Throws Error(invalid_input) if a plain image is at the tag,
/// Error(unavailable) when the tag does not come to rest.
oci::Document<oci::Index> update_index(Client& client, const oci::Reference& tag,
                                       const IndexChange& change,
                                       const IndexUpdateOptions& options = {},
                                       std::stop_token stop = {});

/// The media type an index of these entries needs: Docker's for Docker manifests alone, which its
/// old clients ask for, else OCI's.
bool is_docker_index(const oci::Index& index);

}  // namespace strake::registry
