#include "builder/exec/selection_digests.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include "cache/file_digester.h"
#include "layers/base/ordered_jobs.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::builder {
namespace {

constexpr std::size_t kFilesPerJob = 32;
constexpr std::uint64_t kBytesPerJob = 1 << 20;

using Inode = std::pair<dev_t, ino_t>;

Inode inode_of(const SelectedEntry& entry) {
  return {entry.status.st_dev, entry.status.st_ino};
}

/// How a record's manifest knows the entry.
std::string_view shown_path(const SelectedEntry& entry) {
  return entry.source_path.empty() ? std::string_view(".") : entry.source_path;
}

base::Digest read_digest(const SelectedEntry& entry, const CopySource& source,
                         cache::StatMemo& memo) {
  const base::FileDescriptor file =
      source.root.open(entry.source_path, O_RDONLY | O_NOFOLLOW | O_NOCTTY);
  struct ::stat status = entry.status;
  return cache::FileDigester(memo).digest(file.get(), status, entry.source_path, is_plain(entry));
}

}  // namespace

bool is_plain(const SelectedEntry& entry) {
  return std::none_of(entry.xattrs.begin(), entry.xattrs.end(), [](const base::Xattr& xattr) {
    return layers::is_layer_xattr(xattr.first, xattr.second);
  });
}

SelectionDigests::SelectionDigests(std::span<const SelectedSource> selection)
    : selection_(selection) {
  for (const SelectedSource& selected : selection)
    for (const SelectedEntry& entry : selected.entries) {
      const bool empty = S_ISREG(entry.status.st_mode) && entry.status.st_size == 0;
      digests_.push_back(empty ? base::Digest::of("") : entry.content);
    }
}

std::vector<const SelectedEntry*> SelectionDigests::missing() const {
  std::vector<const SelectedEntry*> entries;
  for (const SelectedSource& selected : selection_)
    for (const SelectedEntry& entry : selected.entries)
      if (S_ISREG(entry.status.st_mode) && !digests_[entry.index]) entries.push_back(&entry);
  return entries;
}

bool SelectionDigests::complete() const {
  for (const SelectedSource& selected : selection_)
    for (const SelectedEntry& entry : selected.entries)
      if (S_ISREG(entry.status.st_mode) && !digests_[entry.index]) return false;
  return true;
}

void SelectionDigests::read_missing(const CopySource& source, cache::StatMemo& memo) {
  std::vector<const SelectedEntry*> unknown = missing();
  if (unknown.empty()) return;
  // Of a file with several names one is read.
  std::map<Inode, const SelectedEntry*> linked;
  for (const SelectedSource& selected : selection_)
    for (const SelectedEntry& entry : selected.entries)
      if (S_ISREG(entry.status.st_mode) && entry.status.st_nlink > 1) {
        const SelectedEntry*& known = linked[inode_of(entry)];
        if (known == nullptr || (!digests_[known->index] && digests_[entry.index])) known = &entry;
      }
  const auto to_read = [&](const SelectedEntry* entry) {
    return entry->status.st_nlink <= 1 || linked.at(inode_of(*entry)) == entry;
  };
  const auto others = std::stable_partition(unknown.begin(), unknown.end(), to_read);

  using Job = std::vector<const SelectedEntry*>;
  base::OrderedJobs<Job> jobs(
      [&](Job& files) {
        for (const SelectedEntry* entry : files)
          digests_[entry->index] = read_digest(*entry, source, memo);
      },
      [](Job& files) { files.clear(); }, 4 * base::WorkerPool::shared().size());
  std::uint64_t bytes = 0;
  for (auto entry = unknown.begin(); entry != others; ++entry) {
    jobs.next().push_back(*entry);
    bytes += static_cast<std::uint64_t>((*entry)->status.st_size);
    if (jobs.next().size() < kFilesPerJob && bytes < kBytesPerJob) continue;
    jobs.submit();
    bytes = 0;
  }
  if (!jobs.next().empty()) jobs.submit();
  jobs.finish();
  for (auto entry = others; entry != unknown.end(); ++entry)
    digests_[(*entry)->index] = digests_[linked.at(inode_of(**entry))->index];
}

bool differs_without_reading(std::span<const SelectedSource> selection,
                             const cache::FileManifest& manifest) {
  using File = std::tuple<std::string_view, std::uint32_t, std::uint64_t>;
  std::vector<File> now, before;
  for (const SelectedSource& selected : selection)
    for (const SelectedEntry& entry : selected.entries)
      now.emplace_back(
          shown_path(entry), entry.status.st_mode,
          S_ISREG(entry.status.st_mode) ? static_cast<std::uint64_t>(entry.status.st_size) : 0);
  if (now.size() != manifest.entries.size()) return true;
  for (const cache::ManifestEntry& entry : manifest.entries)
    before.emplace_back(entry.path, entry.mode, entry.size_bytes);
  std::ranges::sort(now);
  std::ranges::sort(before);
  return now != before;
}

}  // namespace strake::builder
