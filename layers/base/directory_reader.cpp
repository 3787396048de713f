#include "layers/base/directory_reader.h"

#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace strake::base {

bool DirectoryReader::fill() noexcept {
  if (!started_ && ::lseek(directory_, 0, SEEK_SET) < 0) {
    error_ = errno;
    return false;
  }
  started_ = true;
  const ssize_t count = ::getdents64(directory_, buffer_.data(), buffer_.size());
  // A directory that was removed while it was open has no entries.
  if (count < 0 && errno != ENOENT) error_ = errno;
  if (count <= 0) return false;
  position_ = 0;
  filled_ = static_cast<std::size_t>(count);
  return true;
}

const ::dirent64* DirectoryReader::next() noexcept {
  while (position_ < filled_ || fill()) {
    const auto* entry = reinterpret_cast<const ::dirent64*>(buffer_.data() + position_);
    position_ += entry->d_reclen;
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") return entry;
  }
  return nullptr;
}

}  // namespace strake::base
