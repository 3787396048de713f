#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "layers/oci/manifest.h"
#include "layers/oci/reference.h"
#include "registry/client.h"

namespace strake::builder {

struct PublishIntoOptions {
  /// The tag is to have exactly these platforms, and is written only when all of them are there.
  /// Empty: it has all that were ever pushed into it.
  std::vector<oci::Platform> required = {};
  /// Waited for before the tag is looked at once more, for registries whose lists are late.
  std::chrono::milliseconds settle{500};
  /// Others that write the tag and do not follow the protocol make it lose; this often is enough.
  int most_writes = 50;
  registry::RetryEnvironment environment = registry::RetryEnvironment::real();
};

struct PublishedInto {
  std::string marker;                              // the tag that marks the part
  std::optional<oci::Document<oci::Index>> index;  // at the tag; nullopt while parts are missing
  std::vector<oci::Platform> missing;              // required ones that nobody has pushed yet
};

/// Makes the image of one platform part of the index at the tag `into`, while others do the same
/// for theirs: convergence.cpp has the protocol. `child` must be in the repository under its
/// digest; its platform is that of its config, and stands in its descriptor.
///
/// The child's bytes and the annotations of an index that is there are kept; a plain image at the
/// tag is replaced. Throws Error(invalid_input) if the platform is not one of those required,
/// Error(unavailable) if somebody else writes the tag again and again.
PublishedInto publish_into(registry::Client& client, const oci::Reference& into,
                           const oci::Document<oci::Manifest>& child,
                           const PublishIntoOptions& options = {}, std::stop_token stop = {});

}  // namespace strake::builder
