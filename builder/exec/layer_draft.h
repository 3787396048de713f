#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "builder/exec/source_file.h"
#include "layers/archive/tar_entry.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/diff.h"
#include "layers/snapshot/layer_writer.h"

namespace strake::builder {

/// Time stamp of directories and files that an instruction makes from nothing: 1980-01-02, the
/// first day every archive format can hold. A constant, so that the same Dockerfile gives the same
/// layers.
inline constexpr std::int64_t kMadeFromNothingMtime = 315619200;

/// Where the bytes of a drafted file come from.
struct DraftContent {
  SourceFile file;                      // with a root, or opened: a file of a source
  std::uint64_t device = 0, inode = 0;  // not 0: hard links of it are kept
  std::string text;                     // else: the content itself
};

/// The entries of a layer under construction, on top of the file system `below`, which is only
/// looked at. Paths are layer paths: no leading "/", no symlinks in the parents.
class LayerDraft {
 public:
  explicit LayerDraft(const base::RootedDirectory& below) : below_(below) {}

  enum class Kind { absent, directory, other };
  /// What is at `path` by now.
  Kind kind(const std::string& path) const;

  /// Metadata of directories that have to be made on the way.
  struct NewDirectory {
    std::uint32_t mode = 0755, uid = 0, gid = 0;
  };
  /// Makes `path` and its parents where they are missing, and notes those that exist, whose own
  /// metadata stays. Throws Error(invalid_input) if something on the way is not a directory.
  void require_directory(std::string_view path, const NewDirectory& made);

  /// Puts `entry` (parents must have been required) in the place of what is there. Throws
  /// Error(invalid_input) when a directory would replace something else, or the other way round.
  void put(layers::TarEntry entry, DraftContent content = {});
  /// The same, but takes away what is in the way: how archives are unpacked.
  void replace(layers::TarEntry entry, DraftContent content = {});

  /// Takes away what is at `path` by now, of the layers below too. Its parents must have been
  /// required.
  void remove(const std::string& path);

  bool empty() const { return entries_.empty() && removed_.empty(); }
  /// Drafts with the same identity give the same layer, as long as the sources that they name are
  /// the same objects, unchanged: what two steps of one build may compare.
  base::Digest identity() const;
  const base::RootedDirectory& below() const noexcept { return below_; }

  /// Writes everything in the order layers have. Files that change while they are read throw
  /// Error(invalid_input), here or in the writer's finish(). `learned` must live as long as the
  /// writer.
  void write(layers::LayerWriter& writer, LearnedDigests* learned = nullptr) const;

 private:
  struct PathBefore {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const {
      return layers::path_before(a, b);
    }
  };
  struct Drafted {
    layers::TarEntry entry;
    DraftContent content;
  };

  void insert(layers::TarEntry entry, DraftContent content);
  void remove_below(const std::string& path);
  bool is_removed(std::string_view path) const;

  const base::RootedDirectory& below_;
  std::map<std::string, Drafted, PathBefore> entries_;
  std::map<std::string, std::set<std::string>, std::less<>> removed_;  // names, by directory
};

/// The layer entry of something that exists: type, permissions, owner, times and, where they apply,
/// size and device of `status`.
layers::TarEntry entry_of(std::string path, const FileStatus& status);

}  // namespace strake::builder
