// Publication of a tree: its record is written first (unsynced, of this boot), then the tree gets
// its name by rename. A record without a tree promises nothing, and a tree without a record is not
// trusted, so every instant between is fine. All changes of one layer are made under the lock
// layers/<hex>/lock.

#include "layers/layer_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "layers/archive/compression.h"
#include "layers/archive/parallel_tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/base/piece_source.h"
#include "layers/base/rooted_directory.h"
#include "layers/base/worker_pool.h"
#include "layers/layer_record.h"
#include "layers/snapshot/apply.h"
#include "layers/snapshot/diff.h"
#include "layers/snapshot/tree_walk.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::DiffId;
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::FileLock;
using base::system_error;

namespace {

std::string shown(const DiffId& layer) {
  return "layer " + layer.digest.str();
}

/// 0 if there is nothing.
ino_t inode_of(const fs::path& path) {
  struct ::stat status;
  return ::lstat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

bool is_there(const fs::path& path) {
  return inode_of(path) != 0;
}

bool has_trusted_tree(const LayerRecord& record, XattrNamespace xattrs) {
  return record.tree && record.tree->xattrs == xattrs && record.tree->is_trusted();
}

FileDescriptor open_directory(const fs::path& path) {
  FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open", path.native());
  return directory;
}

/// The root directory of a stack is that of its topmost layer; no layer says anything about it, so
/// they all have the same.
void normalise_root(int tree) {
  if (::fchown(tree, ::geteuid(), ::getegid()) != 0 || ::fchmod(tree, 0755) != 0)
    throw system_error(errno, "change the mode of", "layer tree");
}

fs::path make_tree_directory(const base::TempDirectory& work) {
  fs::path tree = work.path() / "tree";
  if (::mkdir(tree.c_str(), 0755) != 0) throw system_error(errno, "create", tree.native());
  return tree;
}

/// What was read of a tar.
struct UnpackedTar {
  base::Digest digest;
  std::uint64_t size_bytes = 0;
  ApplyResult applied;
};

/// Files are made while the bytes of the tar are hashed, and the next ones are decompressed.
UnpackedTar unpack_into(int directory, base::ByteSource& tar, XattrNamespace xattrs) {
  base::HashingSink hash;
  UnpackedTar unpacked;
  {
    base::ReadAhead ahead(tar, "inflate", [&](auto bytes) { hash.write(bytes); });
    unpacked.applied =
        apply_layer(ahead, directory, {.xattrs = xattrs, .helpers = &base::WorkerPool::shared()});
  }
  unpacked.size_bytes = hash.size_bytes();
  unpacked.digest = hash.finish();
  return unpacked;
}

}  // namespace

fs::path LayerStore::directory_of(const DiffId& layer) const {
  return store_->layers() / layer.digest.hex();
}

fs::path LayerStore::tree_path(const DiffId& layer) const {
  return directory_of(layer) / "tree";
}

/// Makes the layer's directory, and locks it.
FileLock LayerStore::lock(const DiffId& layer) const {
  const fs::path directory = directory_of(layer);
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    throw system_error(errno, "create", directory.native());
  return FileLock(directory / "lock", FileLock::Mode::exclusive);
}

bool LayerStore::has_tree(const DiffId& layer) const {
  const std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
  return record && has_trusted_tree(*record, store_->xattr_namespace()) &&
         is_there(tree_path(layer));
}

std::optional<oci::Layer> LayerStore::find(const DiffId& layer) const {
  const std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
  if (!record || record->tar_size_bytes == 0) return std::nullopt;
  return oci::Layer{layer, record->tar_size_bytes};
}

FileDescriptor LayerStore::open_tree(const DiffId& layer) const {
  if (!has_tree(layer))
    throw Error(ErrorCode::not_found, shown(layer) + " is not unpacked in the store");
  return open_directory(tree_path(layer));
}

oci::Layer LayerStore::unpack(base::ByteSource& tar, const DiffId& expected) const {
  const FileLock making = lock(expected);
  if (has_tree(expected)) return *find(expected);  // made by another process while we waited

  const base::TempDirectory work = store_->make_ingest("unpack-");
  const fs::path tree = make_tree_directory(work);
  const FileDescriptor directory = open_directory(tree);
  const auto [digest, size_bytes, applied] =
      unpack_into(directory.get(), tar, store_->xattr_namespace());
  if (digest != expected.digest)
    throw Error(ErrorCode::corrupt, shown(expected) + " has another content than it should: got " +
                                        digest.str() + " (" + std::to_string(size_bytes) +
                                        " bytes)");
  if (applied.dropped_entries + applied.dropped_xattrs > 0)
    base::log_info(shown(expected) + ": left out " + std::to_string(applied.dropped_entries) +
                   " entries and " + std::to_string(applied.dropped_xattrs) +
                   " attributes that layers may not carry");
  normalise_root(directory.get());
  const oci::Layer layer = {expected, size_bytes};
  publish(work, layer, LayerRecord::Origin::unpacked);
  return layer;
}

/// Gives `work/tree` its name. The caller holds the layer's lock.
void LayerStore::publish(const base::TempDirectory& work, const oci::Layer& layer,
                         LayerRecord::Origin origin) const {
  const fs::path directory = directory_of(layer.diff_id);
  const fs::path tree = directory / "tree";
  // What is in the way is of another boot, and not to be trusted. It goes with `work`.
  if (is_there(tree) && ::rename(tree.c_str(), (work.path() / "old").c_str()) != 0)
    throw system_error(errno, "replace", tree.native());

  LayerRecord record = read_layer_record(directory).value_or(LayerRecord());
  record.tar_size_bytes = layer.tar_size_bytes;
  record.tree = {{base::boot_id(), false}, origin, store_->xattr_namespace()};
  write_layer_record(directory, record);
  if (::rename((work.path() / "tree").c_str(), tree.c_str()) != 0)
    throw system_error(errno, "store", tree.native());
}

oci::Layer LayerStore::adopt(base::TempDirectory&& work, const SealOptions& options) const {
  // What is left of `work` is the caller's to remove, when nothing is mounted from it any more.
  const FileDescriptor tree = open_directory(work.path() / "tree");
  base::HashingSink hash(options.also);
  ParallelTarWriter tar(hash);
  write_tree_as_tar(tree.get(), tar,
                    {.xattrs = store_->xattr_namespace(),
                     .clamp_mtime = options.clamp_mtime,
                     .below = options.below});
  tar.finish();
  normalise_root(tree.get());
  return keep(work, {{hash.finish()}, hash.size_bytes()}, LayerForm::tree);
}

LayerWriter LayerStore::writer(const SealOptions& options) const {
  return LayerWriter(store_->make_ingest("layer-"), {.xattrs = store_->xattr_namespace(),
                                                     .form = options.form,
                                                     .clamp_mtime = options.clamp_mtime,
                                                     .also = options.also});
}

oci::Layer LayerStore::seal(LayerWriter&& writer) const {
  return seal(std::move(writer).finish());
}

oci::Layer LayerStore::seal(LayerWriter::Finished&& finished) const {
  return keep(finished.work, finished.layer, finished.form);
}

/// Publishes what was made here of a layer, unless it is there already.
oci::Layer LayerStore::keep(const base::TempDirectory& work, const oci::Layer& layer,
                            LayerForm form) const {
  const FileLock making = lock(layer.diff_id);
  switch (form) {
    case LayerForm::tree:
      if (!has_tree(layer.diff_id)) publish(work, layer, LayerRecord::Origin::sealed);
      break;
    case LayerForm::tar:
      if (!has_tar(layer.diff_id) && !has_sealed_tree(layer.diff_id)) publish_tar(work, layer);
      break;
    case LayerForm::nothing:
      note_size(layer);
      break;
  }
  return layer;
}

/// So that find() knows the layer. The caller holds its lock.
void LayerStore::note_size(const oci::Layer& layer) const {
  LayerRecord record = read_layer_record(directory_of(layer.diff_id)).value_or(LayerRecord());
  if (record.tar_size_bytes == layer.tar_size_bytes) return;
  record.tar_size_bytes = layer.tar_size_bytes;
  write_layer_record(directory_of(layer.diff_id), record);
}

/// Whether there is a tree that gives the layer's tar again.
bool LayerStore::has_sealed_tree(const DiffId& layer) const {
  const std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
  return record && has_trusted_tree(*record, store_->xattr_namespace()) &&
         is_there(tree_path(layer)) && record->tree->origin == LayerRecord::Origin::sealed;
}

void LayerStore::write_tar(const DiffId& layer, base::ByteSink& to) const {
  if (has_tar(layer)) return write_plain_tar(layer, to);
  if (has_sealed_tree(layer)) return write_tar_of_tree(layer, to);
  if (const std::optional<LayerRecord> record = read_layer_record(directory_of(layer))) {
    for (const KnownBlob& known : record->blobs) {
      if (blobs_->size(known.blob.digest) == known.blob.size)
        return write_tar_of_blob(layer, known.blob, to);
    }
  }
  throw Error(ErrorCode::not_found, shown(layer) + " is not in the store");
}

void LayerStore::write_tar_of_tree(const DiffId& layer, base::ByteSink& to) const {
  const FileDescriptor tree = open_directory(tree_path(layer));
  base::HashingSink hash(&to);
  ParallelTarWriter tar(hash);
  write_tree_as_tar(tree.get(), tar, {.xattrs = store_->xattr_namespace()});
  tar.finish();
  if (const base::Digest digest = hash.finish(); digest != layer.digest) {
    set_tree_aside(layer);
    throw Error(ErrorCode::corrupt, "the tree of " + shown(layer) +
                                        " was changed in the store: its tar has digest " +
                                        digest.str())
        .hint("run the build again: the step will be repeated");
  }
}

void LayerStore::write_tar_of_blob(const DiffId& layer, const oci::Descriptor& blob,
                                   base::ByteSink& to) const {
  const oci::Compression compression =
      oci::layer_compression(blob.media_type).value_or(oci::Compression::none);
  const auto tar = make_decompressor(blobs_->open(blob), archive_compression(compression));
  base::HashingSink hash(&to);
  base::copy(*tar, hash);
  if (const base::Digest digest = hash.finish(); digest != layer.digest)
    throw Error(ErrorCode::corrupt, "blob " + blob.digest.str() + " is not a form of " +
                                        shown(layer) + ": its tar has digest " + digest.str());
}

void LayerStore::add_blob(const DiffId& layer, const oci::Descriptor& blob,
                          const oci::Repository* seen_in) const {
  const FileLock changing = lock(layer);
  LayerRecord record = read_layer_record(directory_of(layer)).value_or(LayerRecord());
  auto known = std::ranges::find(record.blobs, blob.digest,
                                 [](const KnownBlob& entry) { return entry.blob.digest; });
  bool changed = false;
  if (known == record.blobs.end()) {
    record.blobs.push_back({blob, {}});
    known = record.blobs.end() - 1;
    changed = true;
  }
  if (seen_in != nullptr) {
    auto& repositories = known->repositories;
    const auto place = std::ranges::lower_bound(repositories, *seen_in);
    if (place == repositories.end() || *place != *seen_in) {
      repositories.insert(place, *seen_in);
      changed = true;
    }
  }
  if (changed) write_layer_record(directory_of(layer), record);
}

std::vector<KnownBlob> LayerStore::blobs(const DiffId& layer) const {
  std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
  return record ? std::move(record->blobs) : std::vector<KnownBlob>();
}

void LayerStore::sync_all() const {
  struct Unsynced {
    DiffId layer;
    ino_t tree = 0, tar = 0;
  };
  const auto of_this_boot = [](const auto& form) {
    return form && !form->synced && form->boot_id == base::boot_id();
  };
  std::vector<Unsynced> unsynced;
  for (const DiffId& layer : list()) {
    const std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
    if (!record) continue;
    Unsynced found{layer};
    if (of_this_boot(record->tree)) found.tree = inode_of(tree_path(layer));
    if (of_this_boot(record->tar)) found.tar = inode_of(tar_path(layer));
    if (found.tree != 0 || found.tar != 0) unsynced.push_back(found);
  }
  if (unsynced.empty()) return;
  if (::syncfs(store_->root_fd()) != 0) throw system_error(errno, "sync", store_->root().native());
  for (const auto& [layer, tree, tar] : unsynced) {
    const FileLock changing = lock(layer);
    std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
    if (!record) continue;
    // What took their place meanwhile was not synced.
    if (tree != 0 && record->tree && inode_of(tree_path(layer)) == tree)
      record->tree->synced = true;
    if (tar != 0 && record->tar && inode_of(tar_path(layer)) == tar) record->tar->synced = true;
    write_layer_record(directory_of(layer), *record);
  }
}

std::vector<DiffId> LayerStore::list() const {
  const FileDescriptor directory = open_directory(store_->layers());
  std::vector<DiffId> layers;
  for (const std::string& name : base::list_directory(directory.get(), store_->layers().native()))
    if (name.size() == 64) layers.push_back({base::Digest::from_hex(name)});
  return layers;
}

std::uint64_t LayerStore::disk_usage(const DiffId& layer) const {
  struct ::stat tar;
  const std::uint64_t of_tar = ::lstat(tar_path(layer).c_str(), &tar) == 0
                                   ? static_cast<std::uint64_t>(tar.st_blocks) * 512
                                   : 0;
  if (!is_there(tree_path(layer))) return of_tar;
  const FileDescriptor tree = open_directory(tree_path(layer));
  TreeWalk walk(tree.get(), store_->xattr_namespace(), true);
  std::uint64_t blocks = 0;
  while (walk.next()) {
    const struct ::stat& status = walk.status();
    // A file of n links is met n times.
    blocks += static_cast<std::uint64_t>(status.st_blocks) /
              (S_ISDIR(status.st_mode) ? 1 : std::max<nlink_t>(status.st_nlink, 1));
  }
  return of_tar + blocks * 512;
}

void LayerStore::remove(const DiffId& layer) const {
  // Half a tree must not stand under the layer's name, so it leaves as a whole and is taken apart
  // where nobody looks.
  const base::TempDirectory work = store_->make_ingest("remove-");
  if (::rename(tree_path(layer).c_str(), (work.path() / "tree").c_str()) != 0 && errno != ENOENT)
    throw system_error(errno, "remove", tree_path(layer).native());
  base::remove_tree(directory_of(layer));
}

void LayerStore::set_tree_aside(const DiffId& layer) const {
  const FileLock changing = lock(layer);
  base::log_warning("the tree of " + shown(layer) + " is damaged: moved to " +
                    store_->quarantine().native());
  const fs::path aside = store_->quarantine() / (layer.digest.hex() + "." + base::random_name());
  if (::rename(tree_path(layer).c_str(), aside.c_str()) != 0 && errno != ENOENT)
    throw system_error(errno, "quarantine", tree_path(layer).native());
}

}  // namespace strake::layers
