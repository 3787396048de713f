// The plain tar of a layer, layers/<hex>/layer.tar: what is kept of a layer that was made here
// until somebody wants to read its files. Published like a tree (layer_store.cpp): the record
// first, then the name.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/base/stream.h"
#include "layers/layer_record.h"
#include "layers/layer_store.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::DiffId;
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::FileLock;
using base::system_error;

namespace {

Error damaged(const DiffId& layer, const base::Digest& digest) {
  return Error(ErrorCode::corrupt, "the tar of layer " + layer.digest.str() +
                                       " was changed in the store: it has digest " + digest.str())
      .hint("run the build again: the step will be repeated");
}

}  // namespace

fs::path LayerStore::tar_path(const DiffId& layer) const {
  return directory_of(layer) / "layer.tar";
}

bool LayerStore::has_tar(const DiffId& layer) const {
  const std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
  struct ::stat status;
  return record && record->tar && record->tar->is_trusted() &&
         ::lstat(tar_path(layer).c_str(), &status) == 0 &&
         static_cast<std::uint64_t>(status.st_size) == record->tar_size_bytes;
}

/// Gives `work/layer.tar` its name. The caller holds the layer's lock.
void LayerStore::publish_tar(const base::TempDirectory& work, const oci::Layer& layer) const {
  const fs::path directory = directory_of(layer.diff_id);
  LayerRecord record = read_layer_record(directory).value_or(LayerRecord());
  record.tar_size_bytes = layer.tar_size_bytes;
  record.tar = {base::boot_id(), false};
  // A tar of another boot must not stand under a record of this one.
  if (::unlink(tar_path(layer.diff_id).c_str()) != 0 && errno != ENOENT)
    throw system_error(errno, "replace", tar_path(layer.diff_id).native());
  write_layer_record(directory, record);
  if (::rename((work.path() / "layer.tar").c_str(), tar_path(layer.diff_id).c_str()) != 0)
    throw system_error(errno, "store", tar_path(layer.diff_id).native());
}

/// Removes the tar. The caller holds the layer's lock.
void LayerStore::forget_tar(const DiffId& layer) const {
  if (::unlink(tar_path(layer).c_str()) != 0 && errno != ENOENT)
    throw system_error(errno, "remove", tar_path(layer).native());
  std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
  if (!record || !record->tar) return;
  record->tar.reset();
  write_layer_record(directory_of(layer), *record);
}

void LayerStore::unpack_tar(const DiffId& layer) const {
  FileDescriptor file(::open(tar_path(layer).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file || !has_tar(layer)) {
    if (has_tree(layer)) return;  // unpacked by another process meanwhile
    throw Error(ErrorCode::not_found, "layer " + layer.digest.str() + " has no tar in the store");
  }
  base::FileSource tar(std::move(file), tar_path(layer).native());
  try {
    unpack(tar, layer);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::corrupt) throw;
    const FileLock changing = lock(layer);
    forget_tar(layer);
    throw;
  }
  const FileLock changing = lock(layer);
  std::optional<LayerRecord> record = read_layer_record(directory_of(layer));
  if (!record || !record->tree) return;
  // It was our own tar, so the tree gives it again.
  record->tree->origin = Origin::sealed;
  write_layer_record(directory_of(layer), *record);
  forget_tar(layer);
}

void LayerStore::write_plain_tar(const DiffId& layer, base::ByteSink& to) const {
  FileDescriptor file(::open(tar_path(layer).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) throw system_error(errno, "open", tar_path(layer).native());
  base::FileSource tar(std::move(file), tar_path(layer).native());
  base::HashingSink hash(&to);
  base::copy(tar, hash);
  if (const base::Digest digest = hash.finish(); digest != layer.digest) {
    base::log_warning("the tar of layer " + layer.digest.str() + " is damaged: removed");
    const FileLock changing = lock(layer);
    forget_tar(layer);
    throw damaged(layer, digest);
  }
}

}  // namespace strake::layers
