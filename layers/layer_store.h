#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"
#include "layers/base/stream.h"
#include "layers/blob_store.h"
#include "layers/oci/descriptor.h"
#include "layers/oci/reference.h"
#include "layers/snapshot/layer_writer.h"
#include "layers/store.h"

namespace strake::layers {

struct SealOptions {
  /// What is kept of a layer that is written entry by entry. A tree that is adopted is kept.
  LayerForm form = LayerForm::tree;
  /// Times later than this (seconds since 1970) become this. SOURCE_DATE_EPOCH.
  std::optional<std::int64_t> clamp_mtime = std::nullopt;
  /// Of an adopted tree: what it was written on top of, bottom first (DiffOptions::below).
  std::optional<std::span<const std::filesystem::path>> below = std::nullopt;
  /// Sees the bytes of the layer's tar in the same pass (a compressor, say). Not finished here.
  base::ByteSink* also = nullptr;
};

/// One compressed (or plain) form of a layer, and repositories that are known to have it. The blob
/// itself may be absent from the BlobStore.
struct KnownBlob {
  oci::Descriptor blob;
  std::vector<oci::Repository> repositories;  // sorted
  bool operator==(const KnownBlob&) const = default;
};

/// Unpacked layers by DiffID, and the blobs known for each, also for layers that have no tree here.
/// A layer that was made here, and that nobody needed to read yet, is kept as its plain tar.
///
/// Trees and tars are not synced to disk one by one. Each carries the id of the boot it was made
/// under, and counts as absent under another boot unless sync_all() was reached. Safe for several
/// threads and processes.
class LayerStore {
 public:
  LayerStore(const Store& store, const BlobStore& blobs) : store_(&store), blobs_(&blobs) {}

  /// Whether the layer is unpacked here, by a process that this one can trust to have finished.
  bool has_tree(const base::DiffId& layer) const;
  /// The same of the plain tar of a layer that was made here.
  bool has_tar(const base::DiffId& layer) const;
  /// The layer with the size of its tar, if that is known here.
  std::optional<oci::Layer> find(const base::DiffId& layer) const;
  /// Where the tree is, or would be.
  std::filesystem::path tree_path(const base::DiffId& layer) const;
  /// The tree, open for reading. Throws Error(not_found) if has_tree() is false.
  base::FileDescriptor open_tree(const base::DiffId& layer) const;

  /// Unpacks a layer's tar; throws Error(corrupt) unless it hashes to `expected`. Of several
  /// processes that want the same layer one does it, the others wait and take the result: `tar` is
  /// then not read.
  oci::Layer unpack(base::ByteSource& tar, const base::DiffId& expected) const;

  /// Makes a tree of the plain tar, which goes: the tree gives it again. Throws Error(not_found)
  /// if has_tar() is false, Error(corrupt) if the tar is damaged; it is then gone.
  void unpack_tar(const base::DiffId& layer) const;

  /// Seals a tree made in ingest/ (`work/tree`, as MountStack::take_upper gives it): hashes its
  /// changeset and takes the tree by rename.
  oci::Layer adopt(base::TempDirectory&& work, const SealOptions& options = {}) const;

  /// Starts a layer that is written entry by entry; `options.also` must live as long as the writer.
  LayerWriter writer(const SealOptions& options = {}) const;
  /// Ends it: the layer is stored.
  oci::Layer seal(LayerWriter&& writer) const;
  oci::Layer seal(LayerWriter::Finished&& finished) const;

  /// Writes the tar of a layer: the plain one, or from its tree if it was made here, else from a
  /// blob of it in the BlobStore, since a tree does not keep how somebody else's tar was spelled.
  /// Throws Error(corrupt) at the end if the digest is not the layer's (what it came from is then
  /// set aside); Error(not_found) if there is none of them.
  void write_tar(const base::DiffId& layer, base::ByteSink& to) const;

  /// Notes that `blob` is a form of the layer and, if given, that `seen_in` has it.
  void add_blob(const base::DiffId& layer, const oci::Descriptor& blob,
                const oci::Repository* seen_in = nullptr) const;
  std::vector<KnownBlob> blobs(const base::DiffId& layer) const;  // oldest first

  /// One syncfs(2) for all trees and tars made under this boot; from then on they survive a power
  /// cut. Not for the critical path: it flushes everybody's dirty pages.
  void sync_all() const;

  /// Layers with anything known about them, in no order. For pruning.
  std::vector<base::DiffId> list() const;
  /// Bytes on disk of the layer's tree, its directory walked, and of its plain tar.
  std::uint64_t disk_usage(const base::DiffId& layer) const;
  /// Removes tree and knowledge; absent is fine. Only with the store open exclusively.
  void remove(const base::DiffId& layer) const;
  /// Moves a tree that turned out damaged to quarantine/; from now on it is absent.
  void set_tree_aside(const base::DiffId& layer) const;

 private:
  std::filesystem::path directory_of(const base::DiffId& layer) const;
  base::FileLock lock(const base::DiffId& layer) const;
  enum class Origin {
    unpacked,  // from a tar of somebody else's; the tree does not give the same bytes again
    sealed,    // made here; the tree gives the tar again
  };
  friend struct LayerRecord;
  void publish(const base::TempDirectory& work, const oci::Layer& layer, Origin origin) const;
  oci::Layer keep(const base::TempDirectory& work, const oci::Layer& layer, LayerForm form) const;
  void note_size(const oci::Layer& layer) const;
  bool has_sealed_tree(const base::DiffId& layer) const;
  std::filesystem::path tar_path(const base::DiffId& layer) const;
  void publish_tar(const base::TempDirectory& work, const oci::Layer& layer) const;
  void forget_tar(const base::DiffId& layer) const;
  void write_plain_tar(const base::DiffId& layer, base::ByteSink& to) const;
  void write_tar_of_tree(const base::DiffId& layer, base::ByteSink& to) const;
  void write_tar_of_blob(const base::DiffId& layer, const oci::Descriptor& blob,
                         base::ByteSink& to) const;

  const Store* store_;
  const BlobStore* blobs_;
};

}  // namespace strake::layers
