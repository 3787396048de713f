#include "layers/snapshot/tree_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "layers/archive/tar_block.h"
#include "layers/archive/tar_encoder.h"
#include "layers/base/error.h"
#include "layers/base/trace.h"
#include "layers/snapshot/layer_directories.h"

namespace strake::layers {
using base::system_error;

namespace {

/// A run is full with this many files, or this much of other entries.
constexpr std::size_t kMostFiles = 256;
constexpr std::size_t kMostMadeBytes = 256 << 10;
/// It keeps the directories of its files open: all runs together, about this many.
constexpr std::size_t kOpenDirectories = 64;
constexpr std::size_t kMostRuns = 12;
/// A job stops when it made this much. Larger files are read in pieces, by several threads.
constexpr std::size_t kMostBlockBytes = 1 << 20;
constexpr std::uint64_t kLargeFileBytes = 256 << 10;
constexpr std::size_t kFirstCapacity = kMostBlockBytes + kLargeFileBytes + (64 << 10);

}  // namespace

TreeFiles::TreeFiles(ParallelTarWriter& tar, XattrNamespace xattrs,
                     std::optional<std::int64_t> clamp_mtime, base::WorkerPool& pool)
    : tar_(tar),
      space_(xattrs),
      clamp_mtime_(clamp_mtime),
      left_files_(xattrs),
      window_(std::min(pool.size() + 2, kMostRuns)),
      runs_([this](Run& run) { make_blocks(run); }, [this](Run& run) { hand_on(run); }, window_,
            pool) {}

void TreeFiles::begin_entry() {
  const Run& run = runs_.next();
  if (run.files.size() >= kMostFiles || run.made.size() >= kMostMadeBytes ||
      run.directories.size() >= kOpenDirectories / window_)
    runs_.submit();
}

void TreeFiles::add(const TarEntry& entry) {
  begin_entry();
  headers_.clear();
  append_tar_headers(entry, std::nullopt, headers_);
  runs_.next().made.append(headers_);
}

void TreeFiles::add_file(int directory, std::string_view path) {
  begin_entry();
  const auto [parent, name] = split_path(path);
  if (!directory_ || parent != parent_) {
    directory_ = std::make_shared<base::FileDescriptor>(
        base::FileDescriptor(::fcntl(directory, F_DUPFD_CLOEXEC, 0)));
    if (!*directory_) throw system_error(errno, "open the directory of", path);
    parent_ = parent;
  }
  Run& run = runs_.next();
  if (run.directories.empty() || run.directories.back() != directory_)
    run.directories.push_back(directory_);
  const std::size_t at = run.names.size();
  run.files.push_back(
      {at, at + path.size() - name.size(), run.directories.size() - 1, run.made.size()});
  run.names.append(path);
  run.names += '\0';
}

void TreeFiles::finish() {
  directory_.reset();
  runs_.submit_last();
  runs_.finish();
}

/// On a thread of the pool.
void TreeFiles::make_blocks(Run& run) const {
  base::TraceSpan span("read files");
  TarEntry tar;
  std::vector<std::byte> headers;
  run.blocks.reserve(kFirstCapacity);
  std::size_t made = 0;
  const auto append_made = [&](std::size_t end) {
    run.blocks.append(run.made.bytes().subspan(made, end - made));
    made = end;
  };
  for (const File& file : run.files) {
    append_made(file.made_before);
    if (run.blocks.size() >= kMostBlockBytes || !make_file(run, file, tar, headers))
      run.left.push_back({static_cast<std::size_t>(&file - run.files.data()), run.blocks.size()});
  }
  append_made(run.made.size());
  if (run.left.empty()) run.directories.clear();
  span.add_bytes(run.blocks.size());
}

/// False, and nothing done, if the file is to be left.
bool TreeFiles::make_file(Run& run, const File& file, TarEntry& tar,
                          std::vector<std::byte>& headers) const {
  const int directory = run.directories[file.directory]->get();
  const char* name = run.names.c_str() + file.name;
  const base::FileDescriptor content = base::open_for_reading(directory, name);
  struct ::stat status;
  // What cannot be opened may need no opening: it is tried again when it is its turn.
  if (!content || ::fstat(content.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_nlink > 1 || static_cast<std::uint64_t>(status.st_size) > kLargeFileBytes)
    return false;

  tar.path.assign(run.names.c_str() + file.path);
  describe_file(status, base::xattrs_of(content.get(), tar.path), space_, tar);
  if (clamp_mtime_) clamp_mtime(directory, name, *clamp_mtime_, tar);
  headers.clear();
  append_tar_headers(tar, std::nullopt, headers);
  run.blocks.append(headers);
  const std::size_t padding = tar_padding(tar.size_bytes);
  const auto room = run.blocks.extend(tar.size_bytes + padding);
  if (tar.size_bytes > 0) read_content(content.get(), 0, room.first(tar.size_bytes), tar.path);
  std::ranges::fill(room.last(padding), std::byte{0});
  return true;
}

void TreeFiles::hand_on(Run& run) {
  const std::span<const std::byte> blocks = run.blocks.bytes();
  std::size_t done = 0;
  for (const Left& left : run.left) {
    tar_.add_made(blocks.subspan(done, left.at - done));
    done = left.at;
    add_left(run, run.files[left.file]);
  }
  tar_.add_made(blocks.subspan(done));
  run.made.clear();
  run.files.clear();
  run.names.clear();
  run.directories.clear();
  run.blocks.clear();
  run.left.clear();
}

/// In order, as other names of a file depend on the first.
void TreeFiles::add_left(const Run& run, const File& file) {
  const Directory& directory = run.directories[file.directory];
  const char* name = run.names.c_str() + file.name;
  TarEntry tar;
  tar.path = run.names.c_str() + file.path;
  struct ::stat status;
  if (::fstatat(directory->get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "look at", tar.path);
  left_files_.describe(directory->get(), name, status, tar);
  if (clamp_mtime_) clamp_mtime(directory->get(), name, *clamp_mtime_, tar);
  if (tar.size_bytes == 0) return tar_.add(tar);
  tar_.add(tar, content_at(directory, name, tar.path));
}

}  // namespace strake::layers
