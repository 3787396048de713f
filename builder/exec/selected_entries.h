#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/stat_memo.h"
#include "layers/base/digest.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {

/// What stat(2) says of a file, as far as a layer or the stat memo wants to know it.
struct FileStatus {
  FileStatus() = default;
  explicit FileStatus(const struct ::stat& status);

  bool is_file() const { return S_ISREG(mode); }
  bool is_directory() const { return S_ISDIR(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
  bool is_device() const { return S_ISCHR(mode) || S_ISBLK(mode); }

  mode_t mode = 0;  // type and permissions
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint32_t links = 0;
  dev_t device_number = 0;  // of a device node
  cache::FileStamp stamp;   // device, inode, size, times
  struct ::timespec mtime = {};
};

/// One file, directory, symlink, … that a source selects. There is one for each file of a context
/// whenever it is looked at, so it is kept small; a SelectedEntries has the text of its paths.
struct SelectedEntry {
  std::string_view path;         // relative to the source's top; "" is the top itself
  std::string_view source_path;  // in CopySource::root, without symlinks, no leading "/"
  FileStatus status;
  std::uint32_t index = 0;  // among the entries of the selection
  /// A directory that is left out itself, but something in it may be kept.
  bool only_as_parent = false;
  /// Regular files that are empty or that the source's memo knows: cache::content_digest().
  std::optional<base::Digest> content;

  const std::string& link_target() const;  // of a symlink, "" else
  const std::vector<base::Xattr>& xattrs() const;
  void set_link_target(std::string target);
  void set_xattrs(std::vector<base::Xattr> xattrs);
  /// Sets `content` of a regular file if it can be known without reading it. True if it is also
  /// known that the file has no attribute that a layer could carry.
  bool recall_content(const cache::StatMemo* memo);

 private:
  struct Rare {
    std::string link_target;
    std::vector<base::Xattr> xattrs;
  };
  Rare& rare();
  std::unique_ptr<Rare> rare_;  // what few entries have
};

/// How messages and a record's manifest know an entry.
inline std::string_view shown_path(const SelectedEntry& entry) {
  return entry.source_path.empty() ? std::string_view(".") : entry.source_path;
}

/// What two names of the same file have in common.
using Inode = std::pair<std::uint64_t, std::uint64_t>;
inline Inode inode_of(const SelectedEntry& entry) {
  return {entry.status.stamp.device, entry.status.stamp.inode};
}

/// Entries in walk order: a directory before its content, names sorted bytewise. They stay where
/// they are until the object is destroyed, also when it is moved.
class SelectedEntries {
 public:
  /// Entries that were found together, in the memory of one of the arenas.
  using Block = std::pmr::vector<SelectedEntry>;
  using Arena = std::pmr::monotonic_buffer_resource;

  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = SelectedEntry;
    using difference_type = std::ptrdiff_t;
    using pointer = const SelectedEntry*;
    using reference = const SelectedEntry&;

    Iterator() = default;
    explicit Iterator(SelectedEntry* const* at) : at_(at) {}
    reference operator*() const { return **at_; }
    pointer operator->() const { return *at_; }
    Iterator& operator++() { return ++at_, *this; }
    Iterator operator++(int) { return Iterator(at_++); }
    bool operator==(const Iterator&) const = default;

   private:
    SelectedEntry* const* at_ = nullptr;
  };
  struct Range {
    Iterator begin() const { return first; }
    Iterator end() const { return last; }
    Iterator first, last;
  };

  SelectedEntries() = default;
  SelectedEntries(SelectedEntries&&) noexcept = default;
  SelectedEntries& operator=(SelectedEntries other) noexcept;

  std::size_t size() const { return order_.size(); }
  Iterator begin() const { return Iterator(order_.data()); }
  Iterator end() const { return Iterator(order_.data() + order_.size()); }
  const SelectedEntry& front() const { return *order_.front(); }
  const SelectedEntry& operator[](std::size_t i) const { return *order_[i]; }
  Range below_top() const { return {++begin(), end()}; }

  /// One more entry, whose paths are copied.
  SelectedEntry& add(std::string_view path, std::string_view source_path);
  /// What a walk found: memory first, then blocks that lie in it, then their entries in order.
  void own(std::unique_ptr<Arena> arena) { arenas_.push_back(std::move(arena)); }
  void own(Block block) { blocks_.push_back(std::move(block)); }
  void append(SelectedEntry& owned) { order_.push_back(&owned); }
  void reserve(std::size_t count) { order_.reserve(count); }

  /// Numbers the entries in order; returns the number after the last.
  std::uint32_t number_from(std::uint32_t first);

 private:
  std::vector<std::unique_ptr<Arena>> arenas_;
  std::vector<Block> blocks_;  // in the arenas: destroyed before them
  std::vector<SelectedEntry*> order_;
};

/// The path of `name` in `directory` ("": the name alone), in the memory of `arena`.
std::string_view join_path(std::string_view directory, std::string_view name,
                           std::pmr::memory_resource& arena);

}  // namespace strake::builder
