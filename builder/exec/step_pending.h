#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "builder/exec/copy_selection.h"
#include "builder/exec/fetched_source.h"
#include "builder/exec/layer_blobs.h"
#include "builder/exec/run_mounts.h"
#include "builder/exec/selection_digests.h"
#include "builder/exec/step_keys.h"
#include "builder/exec/step_runner.h"
#include "cache/layer_cache.h"
#include "layers/snapshot/root_tree.h"

namespace strake::builder {

/// What is known about a step between probing and executing it.
struct StepRunner::Pending {
  cache::SlotId slot;
  StepKey key;                         // what the record goes under
  std::optional<StepKey> content_key;  // COPY --from, mounts: the same result by content
  std::vector<SelectedSource> selection;
  SelectionDigests digests;  // COPY of a context: of `selection`
  /// COPY of a context whose record cannot be there: its files are digested while they are copied,
  /// and only then is there a key. Until then the operation stands for it.
  bool learns_key = false;
  std::optional<StepResult> found;  // what that key turned out to have a record of
  cache::SlotId operation;
  std::function<cache::FileManifest()> manifest;  // of `selection`, for a record; none: no files
  bool tree_is_read = true;                       // by another step or output of this build
  std::optional<layers::RootTree> source_mount;   // COPY --from
  MountSources mount_sources;                     // RUN --mount=from=
  std::unique_ptr<FetchedSource> fetched;         // ADD of a URL or repository
  bool key_is_enough = true;                      // false: its server must be asked first
  std::optional<cache::CacheRecord> previous;     // of the slot
  bool took_previous = false;                     // the result is the previous one but for times
  bool may_reuse = true;                          // false: --no-cache
  std::chrono::milliseconds emulated{};           // as of StepResult
  BlobStarter start_blob;                         // none: nothing wants the layer's blob

  TaskId task{};

  std::unique_ptr<LayerBlobBuilder> blob() const { return start_blob ? start_blob() : nullptr; }
};

}  // namespace strake::builder
