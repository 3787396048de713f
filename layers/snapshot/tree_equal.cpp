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

class ContentComparison {
 public:
  bool equal(const TreeEntry& a, const TreeEntry& b) {
    if (!a.content || !b.content) return !a.content && !b.content;
    std::uint64_t left = a.tar.size_bytes;
    while (left > 0) {
      const std::size_t size = std::min<std::uint64_t>(left, left_.size());
      if (base::read_full(a.content.get(), std::span(left_).first(size), a.tar.path) != size ||
          base::read_full(b.content.get(), std::span(right_).first(size), b.tar.path) != size ||
          std::memcmp(left_.data(), right_.data(), size) != 0)
        return false;
      left -= size;
    }
    return true;
  }

 private:
  std::vector<std::byte> left_ = std::vector<std::byte>(base::kStreamBufferBytes);
  std::vector<std::byte> right_ = std::vector<std::byte>(base::kStreamBufferBytes);
};

}  // namespace

bool trees_equal(int left, int right, XattrNamespace xattrs) {
  TreeEntries left_entries(left, xattrs, true), right_entries(right, xattrs, true);
  if (left_entries.root_is_opaque() != right_entries.root_is_opaque()) return false;
  ContentComparison contents;
  TreeEntry a, b;
  while (left_entries.next(a)) {
    if (!right_entries.next(b) || !same_metadata(a, b) || !contents.equal(a, b)) return false;
  }
  return !right_entries.next(b);
}

}  // namespace strake::layers
