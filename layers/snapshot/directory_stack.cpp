#include "layers/snapshot/directory_stack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "layers/base/error.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {
constexpr std::size_t kMostOpen = 64;
}

void DirectoryStack::push(FileDescriptor directory) {
  levels_.push_back({std::move(directory)});
  if (levels_.size() - first_open_ > kMostOpen) close_outermost();
}

void DirectoryStack::close_outermost() {
  Level& level = levels_[first_open_];
  struct ::stat status;
  if (::fstat(level.directory.get(), &status) != 0)
    throw system_error(errno, "look at", "directory");
  level.device = status.st_dev;
  level.inode = status.st_ino;
  level.directory.reset();
  ++first_open_;
}

void DirectoryStack::pop(const std::string& subject) {
  const FileDescriptor left = std::move(levels_.back().directory);
  levels_.pop_back();
  if (levels_.empty() || levels_.back().directory) return;

  Level& level = levels_.back();
  FileDescriptor outer(::openat(left.get(), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct ::stat status;
  if (!outer || ::fstat(outer.get(), &status) != 0)
    throw system_error(errno, "open the parent directory in", subject);
  if (status.st_dev != level.device || status.st_ino != level.inode)
    throw base::Error(base::ErrorCode::system,
                      "a directory was moved while " + base::quoted(subject) + " was read");
  level.directory = std::move(outer);
  --first_open_;
}

}  // namespace strake::layers
