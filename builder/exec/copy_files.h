#pragma once

#include <list>
#include <span>
#include <utility>

#include "builder/exec/copy_selection.h"
#include "builder/exec/layer_draft.h"
#include "builder/plan/build_plan.h"
#include "layers/store.h"

namespace strake::builder {

/// Files unpacked from local archives (ADD); they live as long as this.
using UnpackedArchives = std::list<std::pair<base::TempDirectory, base::RootedDirectory>>;

/// Puts what `selection` selected where `copy` says, into a draft on top of `below`, the file
/// system the step extends.
///
/// A directory's content goes into the destination; a file goes into it if it ends in "/" or is a
/// directory, else it gets the destination's name. Symlinks in the destination are followed inside
/// `below`. Missing directories are made (0755, or --chmod's permissions), existing ones keep their
/// metadata, but those below the destination take that of their source. With copy.extract, archives
/// are unpacked into the destination instead; they are unpacked to `store`'s ingest directory
/// first.
///
/// Throws Error(invalid_input) when several files would go to one name, or a file and a directory
/// would replace each other; Error(not_found) for an unknown --chown name.
void draft_copy(const plan::Copy& copy, std::span<const SelectedSource> selection,
                const CopySource& source, const base::RootedDirectory& below,
                const layers::Store& store, UnpackedArchives& archives, LayerDraft& draft);

}  // namespace strake::builder
