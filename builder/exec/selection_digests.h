#pragma once

#include <optional>
#include <span>
#include <vector>

#include "builder/exec/copy_selection.h"
#include "cache/file_manifest.h"
#include "cache/stat_memo.h"
#include "layers/base/digest.h"

namespace strake::builder {

/// Whether the entry has no extended attribute that a layer could carry.
bool is_plain(const SelectedEntry& entry);

/// Digests of the regular files of a selection (cache::content_digest), by SelectedEntry::index.
/// The memo knows some of them; the others are found out by reading the files for it, or on the way
/// when they are copied. `selection` must outlive it.
class SelectionDigests {
 public:
  SelectionDigests() = default;
  explicit SelectionDigests(std::span<const SelectedSource> selection);

  bool complete() const;
  /// Reads the files that are still unknown, each once, by all processors, and leaves what was
  /// learned in `memo`. Throws as cache::FileDigester.
  void read_missing(const CopySource& source, cache::StatMemo& memo);

  const std::optional<base::Digest>& of(const SelectedEntry& entry) const {
    return entry.content || learned_.empty() ? entry.content : learned_[entry.index];
  }
  /// Of an entry whose content was not known when it was selected: what was found out since. From
  /// any thread; different entries at the same time.
  bool learned(std::uint32_t index) const { return learned_[index].has_value(); }
  void learn(std::uint32_t index, const base::Digest& digest) { learned_[index] = digest; }

 private:
  std::vector<const SelectedEntry*> missing() const;

  std::span<const SelectedSource> selection_;
  std::vector<std::optional<base::Digest>> learned_;  // empty if there was nothing to learn
};

/// Whether the files of `selection` have not the names, modes and sizes of `manifest`: their digest
/// is then another one, whatever their content.
bool differs_without_reading(std::span<const SelectedSource> selection,
                             const cache::FileManifest& manifest);

}  // namespace strake::builder
