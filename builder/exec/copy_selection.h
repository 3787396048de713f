#pragma once

#include <string>
#include <vector>

#include "builder/dockerfile/ignore_file.h"
#include "builder/exec/selected_entries.h"
#include "builder/plan/build_plan.h"
#include "cache/stat_memo.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {

/// Where COPY takes files from.
struct CopySource {
  const base::RootedDirectory& root;
  /// What .dockerignore leaves out; null for stages and images.
  const dockerfile::IgnoreMatcher* ignored = nullptr;
  /// The build context: its owners mean nothing, files become 0:0.
  bool is_context = false;
  std::string shown_name;  // "the build context", "stage build"
  /// What is known of its files. Null where it is not worth looking.
  cache::StatMemo* memo = nullptr;
};

/// What one source (or one match of a pattern) selects.
struct SelectedSource {
  std::string name;         // its last component: the name it gets inside a destination directory
  std::string parents;      // --parents: the directory path to keep, "" else
  bool directory = false;   // its content is copied, not the directory itself
  SelectedEntries entries;  // the top first
  /// --parents: the directories of `parents`, outermost first, for their metadata.
  SelectedEntries parent_entries;
};

/// Finds what `copy` selects: patterns expanded (Go's filepath.Match), a top-level symlink followed
/// inside the root, symlinks within directories kept as they are, ignored and excluded paths left
/// out. Sockets are left out. Order: of the sources, matches of a pattern sorted.
///
/// Throws Error(not_found) for a source without wildcards that is not there, or was ignored; then
/// a note names the pattern that ignores it.
std::vector<SelectedSource> select_files(const plan::Copy& copy, const CopySource& source);

}  // namespace strake::builder
