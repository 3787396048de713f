#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace strake::cache {

/// What a record remembers of one file, enough to say later what about it is different.
struct ManifestEntry {
  std::string path;        // as the user knows it
  std::uint32_t mode = 0;  // type and permissions
  std::uint32_t uid = 0, gid = 0;
  std::uint64_t content = 0;     // first bytes of the digest of content, link target or device
  std::uint64_t attributes = 0;  // the same of its xattrs and hard link; 0 when there are none
  std::uint64_t size_bytes = 0;  // regular files
  bool operator==(const ManifestEntry&) const = default;
};

/// The files of one step: to explain a miss, and to see one coming from names, modes and sizes. No
/// decision rests on its short digests.
struct FileManifest {
  std::vector<ManifestEntry> entries;

  /// Compact bytes: entries sorted by path, each path without what it shares with the one before.
  std::string encode() const;
  /// nullopt if `bytes` is not what encode() makes.
  static std::optional<FileManifest> decode(std::string_view bytes);

  bool operator==(const FileManifest&) const = default;
};

}  // namespace strake::cache
