#include "builder/exec/layer_draft.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <utility>

#include "builder/exec/layer_paths.h"
#include "layers/base/error.h"
#include "layers/base/stream.h"

namespace strake::builder {

using base::Error;
using base::ErrorCode;
using layers::EntryType;
using layers::TarEntry;

layers::TarEntry entry_of(std::string path, const FileStatus& status) {
  TarEntry entry;
  entry.path = std::move(path);
  switch (status.mode & S_IFMT) {
    case S_IFDIR:
      entry.type = EntryType::directory;
      break;
    case S_IFLNK:
      entry.type = EntryType::symlink;
      break;
    case S_IFCHR:
      entry.type = EntryType::character_device;
      break;
    case S_IFBLK:
      entry.type = EntryType::block_device;
      break;
    case S_IFIFO:
      entry.type = EntryType::fifo;
      break;
    default:
      entry.type = EntryType::file;
      break;
  }
  entry.mode = status.mode & 07777;
  entry.uid = status.uid;
  entry.gid = status.gid;
  entry.mtime = status.mtime;
  if (entry.type == EntryType::file) entry.size_bytes = status.stamp.size_bytes;
  if (entry.type == EntryType::character_device || entry.type == EntryType::block_device) {
    entry.device_major = major(status.device_number);
    entry.device_minor = minor(status.device_number);
  }
  return entry;
}

LayerDraft::Kind LayerDraft::kind(const std::string& path) const {
  if (path.empty()) return Kind::directory;
  if (const auto drafted = entries_.find(path); drafted != entries_.end())
    return drafted->second.entry.type == EntryType::directory ? Kind::directory : Kind::other;
  // Something put in the place of a parent hides what is below it.
  for (std::size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    const auto parent = entries_.find(std::string_view(path).substr(0, slash));
    if (parent != entries_.end() && parent->second.entry.type != EntryType::directory)
      return Kind::absent;
  }
  if (is_removed(path)) return Kind::absent;
  const auto status = below_.lstat(path);
  if (!status) return Kind::absent;
  return S_ISDIR(status->st_mode) ? Kind::directory : Kind::other;
}

void LayerDraft::require_directory(std::string_view path, const NewDirectory& made) {
  for (std::size_t end = 0; end < path.size();) {
    end = std::min(path.find('/', end == 0 ? 0 : end + 1), path.size());
    std::string part(path.substr(0, end));
    if (entries_.contains(part)) {
      if (kind(part) != Kind::directory)
        throw Error(ErrorCode::invalid_input, base::quoted("/" + part) + " is not a directory");
      continue;
    }
    const auto status = is_removed(part) ? std::nullopt : below_.lstat(part);
    if (status && !S_ISDIR(status->st_mode))
      throw Error(ErrorCode::invalid_input, base::quoted("/" + part) + " is not a directory");
    TarEntry entry;
    if (status) {
      entry = entry_of(part, FileStatus(*status));
      entry.xattrs = below_.xattrs(part);
    } else {
      entry.path = part;
      entry.type = EntryType::directory;
      entry.mode = made.mode;
      entry.uid = made.uid;
      entry.gid = made.gid;
      entry.mtime.tv_sec = kMadeFromNothingMtime;
    }
    insert(std::move(entry), {});
  }
}

void LayerDraft::put(TarEntry entry, DraftContent content) {
  const bool directory = entry.type == EntryType::directory;
  const Kind there = kind(entry.path);
  if (directory && there == Kind::other)
    throw Error(
        ErrorCode::invalid_input,
        "cannot copy a directory to " + base::quoted("/" + entry.path) + ": it is not a directory");
  if (!directory && there == Kind::directory)
    throw Error(ErrorCode::invalid_input,
                "cannot copy a file to " + base::quoted("/" + entry.path) + ": it is a directory");
  insert(std::move(entry), std::move(content));
}

void LayerDraft::replace(TarEntry entry, DraftContent content) {
  if (entry.type != EntryType::directory) remove_below(entry.path);
  insert(std::move(entry), std::move(content));
}

/// Something in the place of what was removed hides it by itself, but a directory, also one in the
/// place of what hid it, would show what its predecessor had: so that is removed piece by piece.
void LayerDraft::insert(TarEntry entry, DraftContent content) {
  const std::string path = entry.path;
  const auto names = removed_.find(parent_path(path));
  const bool was_removed = names != removed_.end() && names->second.erase(last_component(path)) > 0;
  const auto before = entries_.find(path);
  const bool was_hidden =
      before != entries_.end() && before->second.entry.type != EntryType::directory;
  if ((was_removed || was_hidden) && entry.type == EntryType::directory) {
    const auto status = below_.lstat(path);
    if (status && S_ISDIR(status->st_mode))
      for (std::string& name : below_.list(path)) removed_[path].insert(std::move(name));
  }
  entries_.insert_or_assign(path, Drafted{std::move(entry), std::move(content)});
}

void LayerDraft::remove(const std::string& path) {
  remove_below(path);
  entries_.erase(path);
  for (auto names = removed_.begin(); names != removed_.end();)
    names = names->first == path || names->first.starts_with(path + "/") ? removed_.erase(names)
                                                                         : std::next(names);
  if (!is_removed(path) && below_.lstat(path))
    removed_[std::string(parent_path(path))].insert(last_component(path));
}

/// Whether `path` of the layers below, or a directory it is in, was taken away.
bool LayerDraft::is_removed(std::string_view path) const {
  for (; !removed_.empty() && !path.empty(); path = parent_path(path)) {
    const auto names = removed_.find(parent_path(path));
    if (names != removed_.end() && names->second.contains(last_component(path))) return true;
  }
  return false;
}

void LayerDraft::remove_below(const std::string& path) {
  const std::string prefix = path + "/";
  for (auto entry = entries_.upper_bound(path);
       entry != entries_.end() && entry->first.starts_with(prefix);)
    entry = entries_.erase(entry);
}

base::Digest LayerDraft::identity() const {
  base::Sha256 sha256;
  const auto number = [&](auto value) { sha256.update(std::to_string(value) + ";"); };
  const auto text = [&](std::string_view value) {
    number(value.size());
    sha256.update(value);
  };
  number(entries_.size());
  for (const auto& [path, drafted] : entries_) {
    const TarEntry& entry = drafted.entry;
    text(path);
    text(entry.link_target);
    number(static_cast<int>(entry.type));
    for (const std::uint32_t value :
         {entry.mode, entry.uid, entry.gid, entry.device_major, entry.device_minor})
      number(value);
    number(entry.size_bytes);
    number(entry.mtime.tv_sec);
    number(entry.mtime.tv_nsec);
    number(entry.xattrs.size());
    for (const auto& [name, value] : entry.xattrs) {
      text(name);
      text(value);
    }
    const DraftContent& content = drafted.content;
    number(reinterpret_cast<std::uintptr_t>(content.file.root));
    number(reinterpret_cast<std::uintptr_t>(content.file.opened.get()));
    text(content.file.path);
    text(content.text);
    number(content.device);
    number(content.inode);
  }
  for (const auto& [directory, names] : removed_) {
    text(directory);
    number(names.size());
    for (const std::string& name : names) text(name);
  }
  return sha256.finish();
}

void LayerDraft::write(layers::LayerWriter& writer, LearnedDigests* learned) const {
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> linked;  // inode → first path
  const auto write_removed = [&](const std::string& directory) {
    const auto names = removed_.find(directory);
    if (names == removed_.end()) return;
    for (const std::string& name : names->second) writer.add_whiteout(join_path(directory, name));
  };
  write_removed("");
  for (const auto& [path, drafted] : entries_) {
    const DraftContent& content = drafted.content;
    if (drafted.entry.type == EntryType::directory) {
      writer.add(drafted.entry);
      write_removed(path);
      continue;
    }
    if (drafted.entry.type != EntryType::file) {
      writer.add(drafted.entry);
      continue;
    }
    if (content.inode != 0) {
      const auto [first, inserted] = linked.emplace(std::pair(content.device, content.inode), path);
      if (!inserted) {
        TarEntry link = drafted.entry;
        link.type = EntryType::hardlink;
        link.link_target = first->second;
        link.size_bytes = 0;
        writer.add(link);
        continue;
      }
    }
    if (content.file.root == nullptr && !content.file.opened) {
      base::StringSource text(content.text);
      writer.add(drafted.entry, text);
      continue;
    }
    writer.add_file(drafted.entry, content_of(content.file, learned),
                    content.inode != 0 ? layers::LayerWriter::Links::may_follow
                                       : layers::LayerWriter::Links::none);
  }
}

}  // namespace strake::builder
