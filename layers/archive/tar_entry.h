#pragma once

#include <time.h>

#include <cstdint>
#include <string>
#include <vector>

#include "layers/base/rooted_directory.h"

namespace strake::layers {

enum class EntryType {
  file,
  directory,
  symlink,
  hardlink,
  character_device,
  block_device,
  fifo,
};

/// One member of a layer's tar, without its data. Spec: image-spec layer.md, "File Types" and
/// "File Attributes".
struct TarEntry {
  /// Raw bytes, not necessarily UTF-8: relative, no leading "/" or "./", no "..", no empty or "."
  /// component, no trailing "/". The root directory itself is "."; never empty.
  std::string path;
  EntryType type = EntryType::file;
  std::uint32_t mode = 0644;  // permission bits, 07777
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size_bytes = 0;  // of a file's data; 0 for all other types
  struct timespec mtime = {};
  /// symlink: the raw text of the link. hardlink: the path of the other entry, in the form of
  /// `path`.
  std::string link_target;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
  std::vector<base::Xattr> xattrs;  // sorted by name, each name once

  /// Character device 0:0 means "deleted" to overlayfs. A tar has no business to say so: whoever
  /// unpacks drops such an entry.
  bool is_overlay_whiteout() const noexcept {
    return type == EntryType::character_device && device_major == 0 && device_minor == 0;
  }
};

}  // namespace strake::layers
