#include "builder/exec/selected_entries.h"

#include <algorithm>
#include <utility>

namespace strake::builder {

FileStatus::FileStatus(const struct ::stat& status)
    : mode(status.st_mode),
      uid(status.st_uid),
      gid(status.st_gid),
      links(static_cast<std::uint32_t>(status.st_nlink)),
      device_number(status.st_rdev),
      stamp(cache::stamp_of(status)),
      mtime(status.st_mtim) {}

SelectedEntry::Rare& SelectedEntry::rare() {
  if (!rare_) rare_ = std::make_unique<Rare>();
  return *rare_;
}

const std::string& SelectedEntry::link_target() const {
  static const std::string none;
  return rare_ ? rare_->link_target : none;
}

const std::vector<base::Xattr>& SelectedEntry::xattrs() const {
  static const std::vector<base::Xattr> none;
  return rare_ ? rare_->xattrs : none;
}

void SelectedEntry::set_link_target(std::string target) {
  rare().link_target = std::move(target);
}

void SelectedEntry::set_xattrs(std::vector<base::Xattr> xattrs) {
  if (rare_ || !xattrs.empty()) rare().xattrs = std::move(xattrs);
}

bool SelectedEntry::recall_content(const cache::StatMemo* memo) {
  static const base::Digest empty = base::Digest::of("");
  if (const auto known = memo == nullptr ? std::nullopt : memo->look_up(status.stamp)) {
    content = known->content;
    return known->plain;
  }
  if (status.stamp.size_bytes == 0) content = empty;
  return false;
}

SelectedEntries& SelectedEntries::operator=(SelectedEntries other) noexcept {
  arenas_.swap(other.arenas_);
  blocks_.swap(other.blocks_);
  order_.swap(other.order_);
  return *this;
}

SelectedEntry& SelectedEntries::add(std::string_view path, std::string_view source_path) {
  auto arena = std::make_unique<Arena>(path.size() + source_path.size() + sizeof(SelectedEntry));
  Block block(arena.get());
  SelectedEntry& entry = block.emplace_back();
  entry.path = join_path("", path, *arena);
  entry.source_path = join_path("", source_path, *arena);
  own(std::move(arena));
  own(std::move(block));
  append(entry);
  return entry;
}

std::uint32_t SelectedEntries::number_from(std::uint32_t first) {
  for (SelectedEntry* entry : order_) entry->index = first++;
  return first;
}

std::string_view join_path(std::string_view directory, std::string_view name,
                           std::pmr::memory_resource& arena) {
  const std::size_t before = directory.empty() ? 0 : directory.size() + 1;
  const std::size_t size = before + name.size();
  char* const path = static_cast<char*>(arena.allocate(size, 1));
  if (before > 0) {
    std::copy(directory.begin(), directory.end(), path);
    path[before - 1] = '/';
  }
  std::copy(name.begin(), name.end(), path + before);
  return {path, size};
}

}  // namespace strake::builder
