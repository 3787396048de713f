#pragma once

#include <optional>
#include <span>
#include <string>

#include "builder/exec/build.h"
#include "builder/exec/copy_selection.h"
#include "builder/exec/selection_digests.h"
#include "builder/plan/build_plan.h"
#include "cache/cache_key.h"
#include "cache/content_digest.h"
#include "cache/layer_cache.h"
#include "cache/stat_memo.h"

namespace strake::builder {

/// A key with what a record keeps of it.
struct StepKey {
  cache::CacheKey key;
  std::vector<cache::KeyField> fields;
};

/// Everything that can change what a RUN does: the file system below, command, environment (but
/// predefined proxy variables), user, directory, here-documents, network, architecture, mounts,
/// what add_fields() says of the settings, and SOURCE_DATE_EPOCH, which is in the layer's times.
/// `sources` says, by position, what the file systems are that mounts take files from: their
/// ChainIDs, or mount_content(). Neither the content of cache mounts counts, nor that of secrets.
StepKey run_key(const plan::Run& run, const base::ChainId& below,
                std::span<const std::string> sources, const BuildRequest& request);

/// What a mount of `source` shows, by content. Throws Error(not_found) if it is not there.
std::string mount_content(const plan::Mount& mount, const CopySource& source);

/// ADD of a URL or repository by what pins it, or turned out to be there:
/// FetchedSource::identity().
StepKey fetch_key(const std::string& path, const std::string& identity, const base::ChainId& below,
                  const BuildRequest& request);

StepKey directory_key(const plan::MakeDirectory& directory, const base::ChainId& below,
                      const BuildRequest& request);

/// COPY and ADD by the content that `selection` found. With --link `below` does not count.
StepKey copy_key(const plan::Copy& copy, const base::ChainId& below,
                 std::span<const SelectedSource> selection, const CopySource& source,
                 cache::StatMemo& memo, const BuildRequest& request);

/// The same with all digests known.
StepKey copy_key(const plan::Copy& copy, const base::ChainId& below,
                 std::span<const SelectedSource> selection, const CopySource& source,
                 const SelectionDigests& digests, const BuildRequest& request);

/// What the record of such a key remembers of the files.
cache::FileManifest copy_manifest(std::span<const SelectedSource> selection,
                                  const CopySource& source, const SelectionDigests& digests);

/// COPY and ADD, but for the files: what a new selection is compared with.
cache::SlotId copy_operation(const plan::Copy& copy, const base::ChainId& below,
                             const BuildRequest& request);

/// COPY --from by what the source stage is, for a hit that does not look at its files.
StepKey copy_from_key(const plan::Copy& copy, const base::ChainId& below,
                      const base::ChainId& source, const BuildRequest& request);

/// The place of a step: Dockerfile, platform, stage and position.
cache::SlotId slot_of(const plan::Step& step, const plan::BuildPlan& plan,
                      const std::string& dockerfile_path);

}  // namespace strake::builder
