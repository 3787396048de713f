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

#include <algorithm>
#include <string>
#include <type_traits>
#include <vector>

#include "layers/archive/parallel_tar_writer.h"
#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/stream.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/tree_entries.h"
#include "layers/snapshot/tree_files.h"
#include "layers/snapshot/whiteout.h"

namespace strake::layers {
namespace {

/// Reads on the calling thread.
class InPlace {
 public:
  static constexpr auto kFiles = TreeWalk::Files::looked_at;

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

/// Lets the threads of a pool look at the files and read them.
class InPool {
 public:
  static constexpr auto kFiles = TreeWalk::Files::unseen;

  InPool(ParallelTarWriter& tar, const DiffOptions& options)
      : files_(tar, options.xattrs, options.clamp_mtime) {}

  void add(const TarEntry& entry) { files_.add(entry); }
  void add_file(const TarEntry& entry, const TreeEntries& entries) {
    files_.add_file(entries.parent(), entry.path);
  }
  void finish() { files_.finish(); }

 private:
  TreeFiles files_;
};

template <typename Writer>
void write_entries(int tree, Writer&& tar, const DiffOptions& options) {
  TreeEntries entries(tree, {options.xattrs, options.overlay_form,
                             std::remove_reference_t<Writer>::kFiles, options.below});
  if (options.overlay_form && entries.root_is_opaque())
    tar.add(marker_entry(std::string(kOpaqueName)));

  TreeEntry entry;
  while (entries.next(entry)) {
    if (entry.whiteout) {
      const auto [directory, name] = split_path(entry.tar.path);
      tar.add(marker_entry(join_path(directory, whiteout_name(name))));
      continue;
    }
    if (options.clamp_mtime && !entry.unseen)
      clamp_mtime(entries.parent(), entries.name(), *options.clamp_mtime, entry.tar);
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
  InPool writer(tar, options);
  write_entries(tree, writer, options);
  writer.finish();
}

}  // namespace strake::layers
