#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/archive/byte_buffer.h"
#include "layers/archive/parallel_tar_writer.h"
#include "layers/archive/tar_entry.h"
#include "layers/base/fd.h"
#include "layers/base/ordered_jobs.h"
#include "layers/snapshot/tree_entries.h"

namespace strake::layers {

/// Puts a tree into a tar with little work for the thread that walks through it: of a file it need
/// not know more than the name. Threads of a pool look at the files, read them, and make their part
/// of the tar, a run of some hundred files at a time; the calling thread hands the runs on in
/// order.
///
/// Nobody may change the tree until finish() returned. What a job throws comes out of a later call.
class TreeFiles {
 public:
  /// Later times than `clamp_mtime` become that, in the tree too.
  TreeFiles(ParallelTarWriter& tar, XattrNamespace xattrs, std::optional<std::int64_t> clamp_mtime,
            base::WorkerPool& pool = base::WorkerPool::shared());

  /// Adds an entry without data.
  void add(const TarEntry& entry);
  /// Adds the regular file at `path`. Its directory is open as `directory`, during the call.
  void add_file(int directory, std::string_view path);
  /// All that was added is with the tar writer.
  void finish();

 private:
  using Directory = std::shared_ptr<const base::FileDescriptor>;

  struct File {
    std::size_t path, name;   // where they begin in the run's names; each ends with a NUL
    std::size_t directory;    // of the run's
    std::size_t made_before;  // bytes of `made` that come before it
  };
  /// A file that the job does not take on: it has other names, is large, or the run is full.
  struct Left {
    std::size_t file;
    std::size_t at;  // its place in `blocks`
  };
  /// A piece of the tar: what add() made of entries, with files between them.
  struct Run {
    ByteBuffer made;
    std::vector<File> files;
    std::string names;
    std::vector<Directory> directories;
    ByteBuffer blocks;  // the result
    std::vector<Left> left;
  };

  void begin_entry();
  void make_blocks(Run& run) const;
  bool make_file(Run& run, const File& file, TarEntry& tar, std::vector<std::byte>& headers) const;
  void hand_on(Run& run);
  void add_left(const Run& run, const File& file);

  ParallelTarWriter& tar_;
  const XattrNamespace space_;
  const std::optional<std::int64_t> clamp_mtime_;
  FileEntries left_files_;
  std::vector<std::byte> headers_;  // of one entry; kept for its capacity
  std::string parent_;              // the path of:
  Directory directory_;             // where the last file was
  const std::size_t window_;        // runs in memory
  base::OrderedJobs<Run> runs_;
};

}  // namespace strake::layers
