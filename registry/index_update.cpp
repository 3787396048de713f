#include "registry/index_update.h"

#include <algorithm>

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// What is at the tag; nullopt for nothing.
std::optional<oci::Document<oci::Index>> read_index(Client& client, const oci::Reference& tag,
                                                    const std::stop_token& stop) {
  try {
    auto document = client.get_manifest(tag, stop);
    auto* index = std::get_if<oci::Index>(&document.value);
    if (index == nullptr) {
      throw Error(ErrorCode::invalid_input,
                  base::quoted(tag.familiar()) + " is an image of one platform, not an index")
          .hint("make an index of it with \"strake index create\"");
    }
    return oci::Document<oci::Index>{std::move(document.bytes), std::move(document.descriptor),
                                     std::move(*index)};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::not_found) return std::nullopt;
    throw;
  }
}

/// `before` with the change made; the same bytes if there is nothing to change.
oci::Document<oci::Index> changed(const std::optional<oci::Document<oci::Index>>& before,
                                  const IndexChange& change) {
  oci::Index index = before ? before->value : oci::Index();
  change(index);
  if (before && index.manifests == before->value.manifests &&
      index.annotations == before->value.annotations) {
    return *before;
  }
  const bool docker = is_docker_index(index);
  return oci::make_index(std::move(index), docker);
}

}  // namespace

bool is_docker_index(const oci::Index& index) {
  const auto is_plain_docker = [](const oci::Descriptor& entry) {
    return entry.media_type == oci::media_type::kDockerManifest && entry.annotations.empty();
  };
  return !index.manifests.empty() && index.annotations.empty() &&
         std::ranges::all_of(index.manifests, is_plain_docker);
}

oci::Document<oci::Index> update_index(Client& client, const oci::Reference& tag,
                                       const IndexChange& change, const IndexUpdateOptions& options,
                                       std::stop_token stop) {
  const oci::Reference target{tag.repository, tag.tag.value_or("latest"), std::nullopt};
  for (int round = 0; round < options.most_rounds; ++round) {
    const auto before = read_index(client, target, stop);
    if (!before && options.must_exist) {
      throw Error(ErrorCode::not_found, "there is no " + base::quoted(target.familiar()));
    }
    oci::Document<oci::Index> wanted = changed(before, change);
    if (before && wanted.descriptor.digest == before->descriptor.digest) return wanted;
    if (round > 0) base::log_debug("another writer replaced " + target.str() + ": changed again");
    client.put_manifest(target, wanted.bytes, wanted.descriptor.media_type, stop);
    const double chance = 1 + options.environment.random();
    options.environment.sleep(std::chrono::milliseconds(static_cast<long>(
                                  static_cast<double>(options.settle.count()) * chance)),
                              stop);
    if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
  }
  throw Error(ErrorCode::unavailable,
              base::quoted(target.familiar()) + " is replaced by others again and again")
      .hint("find out who else writes this tag, and try again");
}

}  // namespace strake::registry
