#pragma once

#include <functional>
#include <string>

#include "builder/exec/copy_selection.h"

namespace strake::builder {

enum class Keep { entry, only_as_parent, nothing };

/// Appends to `to` everything below the directory `top` of `source` that `keep` keeps (empty: all
/// of it), in walk order: a directory before its content, names sorted bytewise. `keep` is called
/// from several threads, for an entry with its path, source_path and status.
///
/// Large trees are walked by the threads of the shared pool, a directory at a time, by descriptors:
/// one stat a file, no allocation a file. What source.memo knows of a regular file is not asked
/// again.
void walk_selection(const CopySource& source, const std::string& top,
                    const std::function<Keep(const SelectedEntry&)>& keep, SelectedEntries& to);

}  // namespace strake::builder
