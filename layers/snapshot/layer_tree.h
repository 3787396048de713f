#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "layers/archive/parallel_tar_writer.h"
#include "layers/archive/tar_entry.h"
#include "layers/base/fd.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/directory_stack.h"
#include "layers/snapshot/node_maker.h"

namespace strake::layers {

/// Makes the tree of a layer entry by entry, for LayerWriter, which checks the entries and their
/// order. Small files are made by whoever reads their content, on any thread; everything else at
/// once. A directory gets its mode and time when the last file in it is made.
class LayerTree {
 public:
  /// Makes `path`, which must outlive everything here.
  LayerTree(const std::filesystem::path& path, XattrNamespace xattrs);

  /// Leaves directories until the innermost one is `directory`, which was added before.
  void go_to(std::string_view directory);

  // All of these add to the innermost directory; `name` is the last component of entry.path.
  void add_directory(const TarEntry& entry, const std::string& name);
  /// A symlink, device or FIFO.
  void add_other(const TarEntry& entry, const std::string& name);
  /// A name of the file `entry.link_target`, which add_file() or create_file() made at once.
  void add_hard_link(const TarEntry& entry, const std::string& name);
  void add_whiteout(const std::string& path, const std::string& name);

  /// The file's content in the same pass: reading it writes it to the tree. `at_once`: hard links
  /// to it may follow.
  std::shared_ptr<TarContent> add_file(const TarEntry& entry, const std::string& name,
                                       std::shared_ptr<TarContent> content, bool at_once);
  /// The file, to be written by the caller, who then calls finish_file().
  base::FileDescriptor create_file(const TarEntry& entry, const std::string& name);
  void finish_file(const base::FileDescriptor& file, const TarEntry& entry) const;

  /// After the content of all files was read: leaves all directories.
  void finish();

 private:
  /// A directory that entries may still be added to.
  struct Directory {
    std::string path;
    std::uint32_t mode;
    struct timespec mtime;
    std::atomic<int> users{1};  // the walk, and files still to be made
  };
  struct Level {
    std::shared_ptr<Directory> directory;
    /// For those who make files; only the innermost directory has one for long.
    std::shared_ptr<const base::FileDescriptor> opened;
  };
  class SmallFile;
  class LargeFile;

  void leave_directory();
  void leave(Directory& directory, int opened) const;
  base::FileDescriptor created(const TarEntry& entry, const std::string& name);

  base::FileDescriptor root_;
  base::RootedDirectory rooted_;
  const NodeMaker maker_;
  DirectoryStack stack_;
  std::vector<Level> levels_;  // of `stack_`, the root first
  bool reflink_works_ = true;
};

}  // namespace strake::layers
