#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "layers/archive/parallel_tar_writer.h"
#include "layers/base/digest.h"
#include "layers/base/files.h"
#include "layers/base/stream.h"
#include "layers/oci/descriptor.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::layers {

/// What is kept of a layer that is written here.
enum class LayerForm {
  tree,     // for steps that will read it
  tar,      // it can be unpacked later
  nothing,  // `also` keeps it
};

struct LayerWriterOptions {
  XattrNamespace xattrs = XattrNamespace::trusted;
  LayerForm form = LayerForm::tree;
  std::optional<std::int64_t> clamp_mtime = std::nullopt;  // see DiffOptions
  base::ByteSink* also = nullptr;                          // sees the tar's bytes
};

/// Writes a layer entry by entry, as tar and (if it is wanted) as tree, in one pass over the
/// contents. For COPY, ADD and WORKDIR, which know what they add and so need no upper directory.
///
/// Entries come in the order of path_before (diff.h), each path once, parents (with the metadata
/// they shall have) before children; the whiteouts of a directory right after it, sorted. One
/// thread at a time.
class LayerWriter {
 public:
  /// Writes the tree into `work/tree`, or the tar into `work/layer.tar`, which it makes.
  LayerWriter(base::TempDirectory work, const LayerWriterOptions& options);
  LayerWriter(LayerWriter&&) noexcept;
  LayerWriter& operator=(LayerWriter&&) noexcept;
  ~LayerWriter();

  /// Adds a directory, symlink, device, FIFO, hard link (to a regular file added before) or empty
  /// file. Attributes that layers do not carry are left out; a hard link gets the metadata of its
  /// file, whatever the entry says.
  void add(const TarEntry& entry);
  /// Adds a regular file with `entry.size` bytes of `content`. Throws Error(invalid_input) if
  /// there are fewer or more: the file changed while it was read.
  void add(const TarEntry& entry, base::ByteSource& content);
  /// The same from an open file.
  void add_file(const TarEntry& entry, int content);
  /// The same, read by any thread, and until finish() at the latest; what reading it throws comes
  /// out of a later call. Shares the file's blocks where the file system can (reflink).
  enum class Links { none, may_follow };  // hard links to it
  void add_file(const TarEntry& entry, std::shared_ptr<TarContent> content, Links links);

  /// Says that `path` of the layers below is gone.
  void add_whiteout(const std::string& path);

  /// Whether nothing was added.
  bool empty() const noexcept;

  /// What LayerStore::seal takes: what was kept, and what the tar hashed to.
  struct Finished {
    base::TempDirectory work;
    oci::Layer layer;
    LayerForm form = LayerForm::tree;
  };
  Finished finish() &&;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace strake::layers
