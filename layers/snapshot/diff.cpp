// A tree in overlay form, written as the tar of a layer.
//
//     in the tree                   in the tar
//     device 0:0 named x            .wh.x (empty file, all metadata zero)
//     opaque attribute on d         d/, then d/.wh..wh..opq
//     the tree's own directory      nothing: a stack has one root, of which no layer may change
//                                   owner, mode or time
//
// What overlayfs keeps to itself (trusted.overlay.*, user.overlay.*) is left out; the layer's tree
// keeps it, for it does no harm to a lower directory under redirect_dir=nofollow,metacopy=off.

#include "layers/snapshot/diff.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <memory>
#include <string>
#include <vector>

#include "layers/archive/parallel_tar_writer.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/stream.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/tree_entries.h"
#include "layers/snapshot/whiteout.h"

namespace strake::layers {
namespace {

/// Reads on the calling thread.
class InPlace {
 public:
  explicit InPlace(TarWriter& tar) : tar_(tar), buffer_(base::kStreamBufferBytes) {}

  void add(const TarEntry& entry) { tar_.add(entry); }
  void add_file(const TarEntry& entry, const TreeEntries& entries) {
    tar_.begin(entry);
    if (entry.size_bytes == 0) return;
    const base::FileDescriptor content = entries.open_content();
    for (std::uint64_t left = entry.size_bytes; left > 0;) {
      const auto piece = std::span(buffer_).first(std::min<std::uint64_t>(left, buffer_.size()));
      const std::size_t count = base::read_some(content.get(), piece, entry.path);
      if (count == 0)
        throw base::Error(base::ErrorCode::system,
                          base::quoted(entry.path) + " became shorter while it was read");
      tar_.write(piece.first(count));
      left -= count;
    }
  }

 private:
  TarWriter& tar_;
  std::vector<std::byte> buffer_;
};

/// Lets the threads of a pool read. They open files by their paths from the tree's root: a
/// descriptor for each directory on the way would be too many. Nothing on such a path can have
/// become a symlink, for the tree is ours alone.
class InPool {
 public:
  InPool(int tree, ParallelTarWriter& tar)
      : tree_(std::make_shared<base::FileDescriptor>(
            ::openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))),
        tar_(tar) {
    if (!*tree_) throw base::system_error(errno, "open", "layer tree");
  }

  void add(const TarEntry& entry) { tar_.add(entry); }
  void add_file(const TarEntry& entry, const TreeEntries& entries) {
    if (entry.size_bytes == 0) return tar_.add(entry);
    if (entry.path.size() >= PATH_MAX)  // no system call takes that
      return tar_.add(entry, content_of(entries.open_content(), entry.path));
    tar_.add(entry, content_at(tree_, entry.path, entry.path));
  }

 private:
  std::shared_ptr<const base::FileDescriptor> tree_;
  ParallelTarWriter& tar_;
};

void clamp(TreeEntry& entry, const TreeEntries& entries, const DiffOptions& options) {
  if (!options.clamp_mtime || entry.whiteout || entry.tar.mtime.tv_sec <= *options.clamp_mtime)
    return;
  entries.set_mtime(entry, {static_cast<time_t>(*options.clamp_mtime), 0});
}

template <typename Writer>
void write_entries(int tree, Writer&& tar, const DiffOptions& options) {
  TreeEntries entries(tree, options.xattrs, options.overlay_form);
  if (options.overlay_form && entries.root_is_opaque())
    tar.add(marker_entry(std::string(kOpaqueName)));

  TreeEntry entry;
  while (entries.next(entry)) {
    if (entry.whiteout) {
      const auto [directory, name] = split_path(entry.tar.path);
      tar.add(marker_entry(join_path(directory, whiteout_name(name))));
      continue;
    }
    clamp(entry, entries, options);
    if (entry.is_file()) {
      tar.add_file(entry.tar, entries);
    } else {
      tar.add(entry.tar);
    }
    if (entry.opaque && options.overlay_form)
      tar.add(marker_entry(join_path(entry.tar.path, kOpaqueName)));
  }
}

}  // namespace

bool path_before(std::string_view a, std::string_view b) {
  const auto [in_a, in_b] = std::ranges::mismatch(a, b);
  if (in_a == a.end() || in_b == b.end()) return a.size() < b.size();
  // "/" ends a name, so it comes before whatever continues one.
  if (*in_a == '/' || *in_b == '/') return *in_a == '/';
  return static_cast<unsigned char>(*in_a) < static_cast<unsigned char>(*in_b);
}

void write_tree_as_tar(int tree, TarWriter& tar, const DiffOptions& options) {
  write_entries(tree, InPlace(tar), options);
}

void write_tree_as_tar(int tree, ParallelTarWriter& tar, const DiffOptions& options) {
  write_entries(tree, InPool(tree, tar), options);
}

}  // namespace strake::layers
