#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "layers/archive/tar_entry.h"
#include "layers/base/fd.h"
#include "layers/base/ordered_jobs.h"
#include "layers/base/worker_pool.h"
#include "layers/snapshot/node_maker.h"

namespace strake::layers {

class TarReader;

/// Makes the small files and the symlinks of a layer on the threads of a pool, while the thread
/// that unpacks goes on reading: batches of them, of which a fixed number is under way, with their
/// content.
///
/// They are made in any order. So the caller sees to it that order does not matter: whatever is to
/// be done with a name that was added, or to find it, comes after a settle().
///
/// What cannot be made is told by a later add() or settle(), the first one first. After that the
/// object can only be destroyed, which waits for what is under way. One thread at a time.
class SmallFiles {
 public:
  /// Makes files as `maker` does.
  SmallFiles(const NodeMaker& maker, base::WorkerPool& pool);

  /// Whether entries like this one are made here: what needs no more than a name, a little content,
  /// an owner, a mode and a time.
  static bool takes(const TarEntry& entry) noexcept;

  /// Makes `name` in `parent`, where nothing has that name. Takes its content from `content`, whose
  /// current entry it is. If that fails, `entry` is still the caller's.
  void add(TarEntry&& entry, std::string name, std::shared_ptr<const base::FileDescriptor> parent,
           TarReader& content);

  /// Returns when all that was added is made.
  void settle();
  /// Whether it is.
  bool settled() const noexcept { return settled_; }
  /// Whether an exception that came from here said that something could not be made.
  bool failed() const noexcept { return failed_; }

 private:
  struct File {
    TarEntry entry;
    std::string name;
    std::shared_ptr<const base::FileDescriptor> parent;
    std::size_t offset, size_bytes;  // of its content in the batch
  };
  struct Batch {
    std::vector<File> files;
    std::vector<std::byte> content;
    std::size_t parents = 0;         // that it keeps open, at most
    std::optional<NodeMaker> maker;  // which learns
  };

  void make(Batch& batch) const;
  static void make(const File& file, const Batch& batch, NodeMaker& maker);
  template <typename Action>
  void noting_failure(Action action);

  const NodeMaker prototype_;
  bool settled_ = true;
  bool failed_ = false;
  base::OrderedJobs<Batch> jobs_;  // destroyed first
};

}  // namespace strake::layers
