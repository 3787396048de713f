#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strake::layers {

/// What shows that a file is another one or was changed. Times are nanoseconds since 1970.
struct FileMark {
  std::uint64_t inode = 0;
  std::int64_t born = 0;     // 0 where the file system does not tell
  std::int64_t changed = 0;  // its ctime: no program can set it
  std::int64_t modified = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t device = 0;  // of a device node
  std::uint32_t mode = 0, uid = 0, gid = 0, links = 0;

  bool is_directory() const noexcept;
  /// Whether both are the same inode: numbers are used again, but not within one birth time.
  bool same_file(const FileMark& other) const noexcept;
  /// All that a layer says of the file, without reading it: everything but ctime and links.
  bool same_metadata(const FileMark& other) const noexcept;
};

/// Everything in a directory at one time: what is compared to find the changes of a step without
/// reading a file. About a hundred bytes a file, and one statx each.
class TreeList {
 public:
  static constexpr std::uint32_t kRoot = 0;

  struct Node {
    FileMark mark;
    std::uint32_t parent = 0;  // of the root: itself
    std::uint32_t first_child = 0, children = 0;
    std::uint32_t name_begin = 0, name_size = 0;
  };

  TreeList() = default;
  /// Lists the directory `root` (open; O_PATH will do), on whose file system nothing else changes
  /// meanwhile. Nothing is followed; does not recurse.
  explicit TreeList(int root);

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(nodes_.size()); }
  const Node& operator[](std::uint32_t index) const { return nodes_[index]; }
  /// The entries of a directory are [first_child, first_child + children), sorted bytewise.
  std::string_view name(std::uint32_t index) const {
    return std::string_view(names_).substr(nodes_[index].name_begin, nodes_[index].name_size);
  }
  /// Without a leading "/"; "" is the root.
  std::string path(std::uint32_t index) const;

 private:
  void read_directory(int directory, std::uint32_t index);

  std::vector<Node> nodes_;
  std::string names_;
};

}  // namespace strake::layers
