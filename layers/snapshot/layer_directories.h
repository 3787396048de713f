#pragma once

#include <time.h>

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/base/rooted_directory.h"
#include "layers/snapshot/node_maker.h"

namespace strake::layers {

/// The directories of a tree while a tar is unpacked into it, where entries come in any order.
///
/// Finds the directory an entry belongs in, makes it when the tar does not mention it, and keeps
/// the last used ones open, so that most entries need no walk from the root. Symlinks of the tree
/// are followed inside it only. Modes and times are given at the end, by finish().
class LayerDirectories {
 public:
  enum class Missing { make, tell };

  struct Directory {
    std::shared_ptr<const base::FileDescriptor> opened;
    std::string path;  // without symlinks; "" is the root

    int fd() const { return opened->get(); }
  };

  struct Hooks {
    /// Is told the path of each directory made on the way.
    std::function<void(std::string_view)> made;
    /// Something of this path is missing, or is a symlink to be followed. Does what is under way
    /// and could have a say in it, and returns whether there was anything.
    std::function<bool(std::string_view)> settle;
  };

  /// `root` outlives the object.
  LayerDirectories(int root, NodeMaker& maker, bool overlay_form, Hooks hooks);

  /// The directory `path` ("" is the root). What is missing is made (0755, 0:0, of the time
  /// `mtime`); nullopt if it is missing and shall not be. Throws Error(corrupt) if something else
  /// is in the way.
  std::optional<Directory> find(std::string_view path, Missing missing, struct timespec mtime = {});

  /// Mode and time that the directory is to have in the end; the last word counts. `has_mode`: it
  /// was just made with that mode.
  void defer(std::string path, std::uint32_t mode, struct timespec mtime, bool has_mode = false);
  /// Removes whatever is at `name` in `parent`.
  void clear(const Directory& parent, const std::string& name);
  /// Removes `path` and all below.
  void remove(const std::string& path);
  /// Gives the directories their modes and times, children first.
  void finish();

 private:
  struct Open {
    std::string path;
    std::shared_ptr<const base::FileDescriptor> fd;
  };
  struct Deferred {
    std::string path;
    std::uint32_t mode;
    struct timespec mtime;
    bool has_mode;
  };

  const Open* cached(std::string_view path);
  void remember(std::string path, base::FileDescriptor fd);
  void forget(std::string_view path);
  base::FileDescriptor open_child(int parent, const std::string& name) const;
  void finish(const Deferred& deferred);
  std::shared_ptr<const base::FileDescriptor> reopen(std::string_view path);
  base::FileDescriptor make_child(int parent, const std::string& name, const std::string& path,
                                  struct timespec mtime);

  const std::shared_ptr<const base::FileDescriptor> root_;
  NodeMaker& maker_;
  bool overlay_form_;
  Hooks hooks_;
  base::RootedDirectory rooted_;
  std::list<Open> open_;  // last used first
  std::vector<Deferred> deferred_;
  bool removed_ = false;  // something: then not all of these are still directories
};

std::string join_path(std::string_view directory, std::string_view name);
/// Whether `path` is in `directory`, which is not the root (""), or deeper.
bool is_below(std::string_view path, std::string_view directory);
/// "a/b" → "a", "b"; "a" → "", "a".
std::pair<std::string_view, std::string_view> split_path(std::string_view path);

}  // namespace strake::layers
