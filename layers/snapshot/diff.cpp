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
#include <vector>

#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/stream.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/tree_entries.h"
#include "layers/snapshot/whiteout.h"

namespace strake::layers {
namespace {

void write_content(TreeEntry& entry, TarWriter& tar, std::span<std::byte> buffer) {
  tar.begin(entry.tar);
  for (std::uint64_t left = entry.tar.size_bytes; left > 0;) {
    const auto piece = buffer.first(std::min<std::uint64_t>(left, buffer.size()));
    const std::size_t count = base::read_some(entry.content.get(), piece, entry.tar.path);
    if (count == 0)
      throw base::Error(base::ErrorCode::system,
                        base::quoted(entry.tar.path) + " became shorter while it was read");
    tar.write(piece.first(count));
    left -= count;
  }
}

void clamp(TreeEntry& entry, const TreeEntries& entries, const DiffOptions& options) {
  if (!options.clamp_mtime || entry.whiteout || entry.tar.mtime.tv_sec <= *options.clamp_mtime)
    return;
  entries.set_mtime(entry, {static_cast<time_t>(*options.clamp_mtime), 0});
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
  TreeEntries entries(tree, options.xattrs, options.overlay_form);
  std::vector<std::byte> buffer(base::kStreamBufferBytes);
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
    if (entry.content) {
      write_content(entry, tar, buffer);
    } else {
      tar.add(entry.tar);
    }
    if (entry.opaque && options.overlay_form)
      tar.add(marker_entry(join_path(entry.tar.path, kOpaqueName)));
  }
}

}  // namespace strake::layers
