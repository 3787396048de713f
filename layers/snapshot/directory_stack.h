#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "layers/base/fd.h"

namespace strake::layers {

/// The open directories from a tree's root down to where the work is. However deep that is, only
/// the last few are really open: the others are opened again, through "..", on the way back. The
/// tree must be ours alone meanwhile.
class DirectoryStack {
 public:
  /// `directory` is open for reading.
  void push(base::FileDescriptor directory);
  /// Leaves the innermost directory; the one around it is open then. `subject` names the tree in
  /// the Error(system) thrown on failure.
  void pop(const std::string& subject);

  int top() const noexcept { return levels_.back().directory.get(); }
  std::size_t depth() const noexcept { return levels_.size(); }

 private:
  struct Level {
    base::FileDescriptor directory;  // empty while closed
    dev_t device = 0;
    ino_t inode = 0;  // known once it was closed
  };
  void close_outermost();

  std::vector<Level> levels_;
  std::size_t first_open_ = 0;
};

}  // namespace strake::layers
