#include "layers/snapshot/tree_equal.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "layers/base/stream.h"
#include "layers/snapshot/tree_entries.h"

namespace strake::layers {
namespace {

/// All that a changeset says of an entry, but for times and bytes.
bool same_metadata(const TreeEntry& a, const TreeEntry& b) {
  return a.tar.path == b.tar.path && a.whiteout == b.whiteout && a.opaque == b.opaque &&
         (a.whiteout ||
          (a.tar.type == b.tar.type && a.tar.mode == b.tar.mode && a.tar.uid == b.tar.uid &&
           a.tar.gid == b.tar.gid && a.tar.size_bytes == b.tar.size_bytes &&
           a.tar.link_target == b.tar.link_target && a.tar.device_major == b.tar.device_major &&
           a.tar.device_minor == b.tar.device_minor && a.tar.xattrs == b.tar.xattrs));
}

}  // namespace

bool ContentComparison::equal(int left, int right, std::uint64_t size_bytes,
                              const std::string& subject) {
  left_.resize(base::kStreamBufferBytes);
  right_.resize(base::kStreamBufferBytes);
  while (size_bytes > 0) {
    const std::size_t size = std::min<std::uint64_t>(size_bytes, left_.size());
    if (base::read_full(left, std::span(left_).first(size), subject) != size ||
        base::read_full(right, std::span(right_).first(size), subject) != size ||
        std::memcmp(left_.data(), right_.data(), size) != 0)
      return false;
    size_bytes -= size;
  }
  return true;
}

bool trees_equal(int left, int right, XattrNamespace xattrs,
                 std::optional<std::span<const std::filesystem::path>> below) {
  TreeEntries left_entries(left, {.xattrs = xattrs});
  TreeEntries right_entries(right, {.xattrs = xattrs, .below = below});
  if (left_entries.root_is_opaque() != right_entries.root_is_opaque()) return false;
  ContentComparison contents;
  TreeEntry a, b;
  const auto same_content = [&] {
    if (!a.is_file() || a.tar.size_bytes == 0) return true;
    const base::FileDescriptor left_file = left_entries.open_content();
    const base::FileDescriptor right_file = right_entries.open_content();
    return contents.equal(left_file.get(), right_file.get(), a.tar.size_bytes, a.tar.path);
  };
  while (left_entries.next(a)) {
    if (!right_entries.next(b) || !same_metadata(a, b) || !same_content()) return false;
  }
  return !right_entries.next(b);
}

}  // namespace strake::layers
