#include "layers/snapshot/small_files.h"

#include <cerrno>
#include <span>
#include <utility>

#include "layers/archive/tar_reader.h"
#include "layers/base/error.h"
#include "layers/base/trace.h"

namespace strake::layers {
using base::Error;
using base::FileDescriptor;
using base::system_error;

namespace {

/// Copying more than this costs more than it saves.
constexpr std::uint64_t kSmallBytes = 64 * 1024;
// Of a batch.
constexpr std::size_t kBatchBytes = 256 * 1024;
constexpr std::size_t kBatchFiles = 64;
constexpr std::size_t kBatchParents = 16;  // each may keep a directory open
/// Enough that neither the reader nor the makers soon wait for each other, whatever they are at.
constexpr std::size_t kBatches = 8;

}  // namespace

SmallFiles::SmallFiles(const NodeMaker& maker, base::WorkerPool& pool)
    : prototype_(maker),
      jobs_([this](Batch& batch) { make(batch); }, [](Batch&) {}, kBatches, pool) {}

bool SmallFiles::takes(const TarEntry& entry) noexcept {
  if (!entry.xattrs.empty()) return false;
  return entry.type == EntryType::symlink ||
         (entry.type == EntryType::file && entry.size_bytes <= kSmallBytes);
}

template <typename Action>
void SmallFiles::noting_failure(Action action) {
  failed_ = true;
  action();
  failed_ = false;
}

void SmallFiles::add(TarEntry&& entry, std::string name,
                     std::shared_ptr<const FileDescriptor> parent, TarReader& content) {
  Batch* batch = nullptr;
  noting_failure([&] { batch = &jobs_.next(); });
  const std::size_t offset = batch->content.size();
  for (auto piece = content.next_data(); !piece.empty(); piece = content.next_data())
    batch->content.insert(batch->content.end(), piece.begin(), piece.end());
  if (batch->files.empty() || batch->files.back().parent != parent) ++batch->parents;
  batch->files.push_back({std::move(entry), std::move(name), std::move(parent), offset,
                          batch->content.size() - offset});
  settled_ = false;
  if (batch->content.size() + kSmallBytes > kBatchBytes || batch->files.size() == kBatchFiles ||
      batch->parents == kBatchParents)
    jobs_.submit();
}

void SmallFiles::settle() {
  if (settled_) return;
  noting_failure([&] {
    if (!jobs_.next().files.empty()) jobs_.submit_unannounced();
    jobs_.finish();
  });
  settled_ = true;
}

void SmallFiles::make(Batch& batch) const {
  if (!batch.maker) batch.maker.emplace(prototype_);
  const base::TraceSpan span("make files");
  for (const File& file : batch.files) {
    try {
      make(file, batch, *batch.maker);
    } catch (Error& error) {
      error.add_context("unpacking " + base::quoted(file.entry.path));
      throw;
    }
  }
  batch.files.clear();
  batch.content.clear();
  batch.parents = 0;
}

void SmallFiles::make(const File& file, const Batch& batch, NodeMaker& maker) {
  const auto& [entry, name, parent, offset, size_bytes] = file;
  if (entry.type == EntryType::symlink) {
    if (const int error = maker.create_other(parent->get(), name, entry); error != 0)
      throw system_error(error, "create", entry.path);
    return maker.set_other_metadata(parent->get(), name, entry);
  }
  const FileDescriptor created = maker.create_file(parent->get(), name, entry);
  if (!created) throw system_error(errno, "create", entry.path);
  if (size_bytes > 0)
    base::write_full(created.get(), std::span(batch.content).subspan(offset, size_bytes),
                     entry.path);
  maker.finish_file(created.get(), entry);
}

}  // namespace strake::layers
