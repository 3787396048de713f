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

base::Digest read_digest(const SelectedEntry& entry, const CopySource& source,
                         cache::StatMemo& memo) {
  // Without O_NONBLOCK a FIFO that took the file's place would block for ever.
  const base::FileDescriptor file =
      source.root.open(entry.source_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  return cache::FileDigester(memo).digest(file.get(), entry.status.stamp, entry.source_path,
                                          is_plain(entry));
}

}  // namespace

bool is_plain(const SelectedEntry& entry) {
  return std::ranges::none_of(entry.xattrs(), [](const base::Xattr& xattr) {
    return layers::is_layer_xattr(xattr.first, xattr.second);
  });
}

SelectionDigests::SelectionDigests(std::span<const SelectedSource> selection)
    : selection_(selection) {
  std::size_t entries = 0;
  bool any_unknown = false;
  for (const SelectedSource& selected : selection) {
    entries += selected.entries.size();
    for (const SelectedEntry& entry : selected.entries)
      any_unknown |= entry.status.is_file() && !entry.content;
  }
  if (any_unknown) learned_.resize(entries);
}

std::vector<const SelectedEntry*> SelectionDigests::missing() const {
  std::vector<const SelectedEntry*> entries;
  if (learned_.empty()) return entries;  // everything was known
  for (const SelectedSource& selected : selection_)
    for (const SelectedEntry& entry : selected.entries)
      if (entry.status.is_file() && !of(entry)) entries.push_back(&entry);
  return entries;
}

bool SelectionDigests::complete() const {
  return missing().empty();
}

void SelectionDigests::read_missing(const CopySource& source, cache::StatMemo& memo) {
  std::vector<const SelectedEntry*> unknown = missing();
  if (unknown.empty()) return;
  // Of a file with several names one is read.
  std::map<Inode, const SelectedEntry*> linked;
  for (const SelectedSource& selected : selection_)
    for (const SelectedEntry& entry : selected.entries)
      if (entry.status.is_file() && entry.status.links > 1) {
        const SelectedEntry*& known = linked[inode_of(entry)];
        if (known == nullptr || (!of(*known) && of(entry))) known = &entry;
      }
  const auto to_read = [&](const SelectedEntry* entry) {
    return entry->status.links <= 1 || linked.at(inode_of(*entry)) == entry;
  };
  const auto others = std::stable_partition(unknown.begin(), unknown.end(), to_read);

  using Job = std::vector<const SelectedEntry*>;
  base::OrderedJobs<Job> jobs(
      [&](Job& files) {
        for (const SelectedEntry* entry : files)
          learned_[entry->index] = read_digest(*entry, source, memo);
      },
      [](Job& files) { files.clear(); }, 4 * base::WorkerPool::shared().size());
  std::uint64_t bytes = 0;
  for (auto entry = unknown.begin(); entry != others; ++entry) {
    jobs.next().push_back(*entry);
    bytes += (*entry)->status.stamp.size_bytes;
    if (jobs.next().size() < kFilesPerJob && bytes < kBytesPerJob) continue;
    jobs.submit();
    bytes = 0;
  }
  if (!jobs.next().empty()) jobs.submit();
  jobs.finish();
  for (auto entry = others; entry != unknown.end(); ++entry)
    learned_[(*entry)->index] = of(*linked.at(inode_of(**entry)));
}

bool differs_without_reading(std::span<const SelectedSource> selection,
                             const cache::FileManifest& manifest) {
  using File = std::tuple<std::string_view, std::uint32_t, std::uint64_t>;
  std::vector<File> now, before;
  for (const SelectedSource& selected : selection)
    for (const SelectedEntry& entry : selected.entries)
      now.emplace_back(shown_path(entry), entry.status.mode,
                       entry.status.is_file() ? entry.status.stamp.size_bytes : 0);
  if (now.size() != manifest.entries.size()) return true;
  for (const cache::ManifestEntry& entry : manifest.entries)
    before.emplace_back(entry.path, entry.mode, entry.size_bytes);
  std::ranges::sort(now);
  std::ranges::sort(before);
  return now != before;
}

}  // namespace strake::builder
