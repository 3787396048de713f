#pragma once

#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "layers/base/digest.h"

namespace strake::cache {

/// What stat(2) says about a file's identity and version.
struct FileStamp {
  std::uint64_t device = 0, inode = 0, size_bytes = 0;
  std::int64_t mtime_ns = 0, ctime_ns = 0;
  auto operator<=>(const FileStamp&) const = default;
};
FileStamp stamp_of(const struct ::stat& status);

/// What is known of a file.
struct KnownFile {
  base::Digest content;  // see content_digest()
  /// It has no extended attribute that a layer could carry. (Setting one changes the ctime.)
  bool plain = false;
};

/// Remembers digests of files by their stamps, so that a file is read once in its life.
///
/// The racy rule: a file written again within the tick of its time stamps keeps its stamp. Hence a
/// digest is only remembered when both stamps were older, by kRacyMargin, than the moment the file
/// was read. A file from the future is therefore read each time.
///
/// One compact file for each context root, mapped when opened and searched without parsing. A file
/// that is missing, damaged or of another version is an empty memo; each entry has a checksum of
/// its own. find() and remember() may be called from several threads.
class StatMemo {
 public:
  using Time = std::chrono::system_clock::time_point;
  /// Above the coarsest time stamps in use (FAT: 2 s).
  static constexpr std::chrono::nanoseconds kRacyMargin = std::chrono::milliseconds(2500);

  /// A memo that lives in memory only.
  StatMemo();
  explicit StatMemo(std::filesystem::path file);
  ~StatMemo();
  StatMemo(const StatMemo&) = delete;
  StatMemo& operator=(const StatMemo&) = delete;

  /// The file below `directory` that belongs to the context at `root` (an absolute path).
  static std::filesystem::path file_for(const std::filesystem::path& directory,
                                        const std::filesystem::path& root);

  std::optional<base::Digest> find(const FileStamp& stamp) const;
  /// The same, and what else is known.
  std::optional<KnownFile> look_up(const FileStamp& stamp) const;

  /// `read_at`: the wall clock before the first byte was read. Forgotten at once where the racy
  /// rule says so.
  void remember(const FileStamp& stamp, const base::Digest& digest, Time read_at,
                bool plain = false);

  /// Writes the file if remember() added anything, replacing it atomically. Entries that nobody
  /// asked for in this run go when they outnumber the others. Throws Error.
  void save();

  /// Entries, loaded and added.
  std::size_t size() const;

 private:
  struct Entry;
  class Mapping;

  const Entry* find_loaded(const FileStamp& stamp) const;
  std::vector<Entry> entries_to_save() const;

  std::filesystem::path file_;
  std::unique_ptr<Mapping> loaded_;
  /// One for each loaded entry: whether this run asked for it.
  std::unique_ptr<std::atomic<bool>[]> seen_;

  mutable std::mutex mutex_;
  std::map<FileStamp, KnownFile> added_;
  std::atomic<bool> any_added_ = false;  // saves find() the mutex
  bool unsaved_ = false;
};

}  // namespace strake::cache
