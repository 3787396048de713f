#include "layers/base/entry_place.h"

#include <fcntl.h>

#include <cerrno>

#include "layers/base/rooted_directory.h"

namespace strake::base {

int EntryPlace::find(int root, std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return -EINVAL;
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  const std::size_t slash = path.rfind('/');
  std::string_view parent = slash == std::string_view::npos ? "" : path.substr(0, slash + 1);
  name_ = path.substr(parent.size());
  if (name_.empty() || name_ == "." || name_ == "..") {
    parent = path;
    name_ = ".";
  }
  directory_ = root;
  parent_.reset();
  if (parent.find_first_not_of('/') == std::string_view::npos) return 0;
  const int fd = open_in_root(root, std::string(parent), O_PATH | O_DIRECTORY);
  if (fd < 0) return fd;
  parent_ = FileDescriptor(fd);
  directory_ = fd;
  return 0;
}

}  // namespace strake::base
