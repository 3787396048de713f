#pragma once

#include <memory>
#include <string>

#include "builder/exec/selection_digests.h"
#include "cache/stat_memo.h"
#include "layers/archive/parallel_tar_writer.h"
#include "layers/base/fd.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {

/// A regular file that a COPY takes from somewhere.
struct SourceFile {
  const base::RootedDirectory* root = nullptr;
  std::string path;
  std::shared_ptr<const base::FileDescriptor> opened;  // in the place of `root`
  /// What it was when it was selected. Only the size counts for files of other images, whose inodes
  /// and times may be those of a mount.
  cache::FileStamp stamp;
  bool stamp_counts = false;
  bool plain = false;          // see cache::KnownFile
  std::uint32_t index = 0;     // SelectedEntry::index
  bool content_known = false;  // there is nothing to learn from reading it
};

/// Where the digests of files go that are read for being copied.
struct LearnedDigests {
  SelectionDigests& digests;
  cache::StatMemo& memo;
};

/// The file as content of a layer. Reading it throws Error(invalid_input) if it is not the file any
/// more that was selected. With `learned`, what it contains is noted there, unless it is known.
std::shared_ptr<layers::TarContent> content_of(const SourceFile& file, LearnedDigests* learned);

}  // namespace strake::builder
