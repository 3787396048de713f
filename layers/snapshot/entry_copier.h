#pragma once

#include <sys/stat.h>

#include <atomic>
#include <string>

#include "layers/snapshot/node_maker.h"

namespace strake::layers {

/// Copies files between trees of ours, with everything a layer keeps of them: owner, mode, time to
/// the nanosecond, attributes. Overlayfs' own attributes stay behind. Content is shared where the
/// file system can (FICLONE), else copied, big files in the kernel; holes stay holes.
///
/// copy() may be called by several threads at once.
class EntryCopier {
 public:
  explicit EntryCopier(XattrNamespace xattrs) : maker_(xattrs, false) {}

  /// Makes the entry `name` of the directory `to` after that of `from`, which `status` is of and
  /// which is no directory. False if something is there already.
  bool copy(int from, int to, const std::string& name, const struct ::stat& status,
            const std::string& path);
  /// Gives the directory `to` owner, attributes, mode and time of `from`; to be done when nothing
  /// is added to it any more.
  void copy_directory_metadata(int from, int to, const std::string& path);

 private:
  bool copy_file(int from, int to, const std::string& name, const struct ::stat& status,
                 const std::string& path);
  void copy_content(int from, int to, const struct ::stat& status, const std::string& path);
  void copy_range(int from, int to, off_t begin, off_t end, const std::string& path);
  bool copy_range_in_kernel(int from, int to, off_t& begin, off_t end, const std::string& path);

  NodeMaker maker_;
  std::atomic<bool> clones_ = true;  // until the file system says no
  std::atomic<bool> copies_range_ = true;
};

}  // namespace strake::layers
