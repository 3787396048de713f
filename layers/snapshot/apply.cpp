// Unpacking a layer.
//
// In overlay form the tree must say the same as the tar wherever a whiteout stands in it, though a
// path can be either a whiteout device or a file of this layer:
//
//     in the layer                what the tree has
//     .wh.x                       x, device 0:0
//     .wh.x and a file x          the file (it hides what is below anyway)
//     .wh.x and a directory x     the directory, opaque
//     .wh..wh..opq in x           x, opaque
//
// A directory that takes the place of anything else is opaque too: what it replaced hid the lower
// layers' directory of that name, if there is one.

#include "layers/snapshot/apply.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <unordered_set>
#include <vector>

#include "layers/archive/tar_reader.h"
#include "layers/base/error.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/path_filter.h"
#include "layers/snapshot/small_files.h"
#include "layers/snapshot/whiteout.h"

namespace strake::layers {
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::system_error;

namespace {

class LayerUnpacker {
 public:
  LayerUnpacker(int root, const ApplyOptions& options)
      : options_(options),
        root_(root),
        maker_(options.xattrs, options.overlay_form),
        directories_(root, maker_, options.overlay_form,
                     {.made = [this](std::string_view path) { note(path); },
                      .settle = [this](std::string_view path) { return settle(path); }}) {
    if (options.helpers != nullptr) beside_.emplace(maker_, *options.helpers);
  }

  ApplyResult unpack(TarReader& reader) {
    try {
      add_all(reader);
    } catch (...) {
      // What is made by others came before it in the tar, and so its error comes first.
      if (beside_ && !beside_->small_files.failed()) beside_->small_files.settle();
      throw;
    }
    directories_.finish();
    // The digest of a layer covers what stands behind the archive's end too.
    reader.drain_to_end();
    result_.dropped_xattrs = reader.dropped_xattrs() + maker_.dropped_xattrs();
    return result_;
  }

 private:
  using Directory = LayerDirectories::Directory;
  using Missing = LayerDirectories::Missing;

  /// What is made by other threads while this one goes on. Only names that nothing had are made
  /// there; what is done with a name that the tar had before, and whatever could find one, waits
  /// until all is made.
  struct Beside {
    Beside(const NodeMaker& maker, base::WorkerPool& pool) : small_files(maker, pool) {}
    PathFilter names;  // of all that was made or will be, without symlinks
    SmallFiles small_files;
  };

  void add_all(TarReader& reader);
  void add(TarEntry& entry, TarReader& reader);
  bool make_beside(TarEntry& entry, const Directory& parent, const std::string& name,
                   TarReader& reader);
  void await_others();
  void add_root(const TarEntry& entry);
  void add_file(const TarEntry& entry, const Directory& parent, const std::string& name,
                TarReader& content);
  void add_directory(const TarEntry& entry, const Directory& parent, const std::string& name);
  void add_hard_link(const TarEntry& entry, const Directory& parent, const std::string& name);
  void add_other(const TarEntry& entry, const Directory& parent, const std::string& name);
  void add_whiteout(std::string_view directory, const std::string& target, struct timespec mtime);
  void add_opaque_mark(std::string_view directory, struct timespec mtime);
  void remove_lower(const std::string& path);
  void note(std::string_view path);
  bool settle(std::string_view path);

  const ApplyOptions& options_;
  int root_;
  NodeMaker maker_;
  LayerDirectories directories_;
  /// What this layer brought; kept only where whiteouts remove things at once.
  std::unordered_set<std::string> made_;
  std::optional<Beside> beside_;
  ApplyResult result_;
};

/// ".wh.x/y": a directory of such a name cannot be told from a whiteout.
void refuse_whiteout_directories(std::string_view directory) {
  while (!directory.empty()) {
    const auto [above, name] = split_path(directory);
    if (name.starts_with(kWhiteoutPrefix))
      throw Error(ErrorCode::corrupt,
                  base::quoted(name) + " names a whiteout, and so can have nothing below it");
    directory = above;
  }
}

void LayerUnpacker::add_all(TarReader& reader) {
  while (std::optional<TarEntry> entry = reader.next()) {
    ++result_.entries;
    try {
      add(*entry, reader);
    } catch (Error& error) {
      if (!beside_ || !beside_->small_files.failed())
        error.add_context("unpacking " + base::quoted(entry->path));
      throw;
    }
  }
  await_others();
}

void LayerUnpacker::add(TarEntry& entry, TarReader& reader) {
  if (entry.path == ".") return add_root(entry);
  if (options_.owner) {
    entry.uid = options_.owner->uid;
    entry.gid = options_.owner->gid;
  }
  const auto [directory, name_view] = split_path(entry.path);
  const std::string name(name_view);
  if (entry.path.find(kWhiteoutPrefix) != std::string::npos) refuse_whiteout_directories(directory);
  const WhiteoutName whiteout = parse_whiteout(name);
  switch (whiteout.kind) {
    case WhiteoutName::Kind::none:
      break;
    case WhiteoutName::Kind::remove:
      return add_whiteout(directory, std::string(whiteout.target), entry.mtime);
    case WhiteoutName::Kind::opaque:
      return add_opaque_mark(directory, entry.mtime);
    case WhiteoutName::Kind::ignored:
      ++result_.dropped_entries;
      return;
    case WhiteoutName::Kind::invalid:
      throw Error(ErrorCode::corrupt, base::quoted(name) + " is a whiteout of nothing");
  }
  if (entry.is_overlay_whiteout()) {
    ++result_.dropped_entries;
    return;
  }

  const Directory parent = *directories_.find(directory, Missing::make, entry.mtime);
  if (beside_ && make_beside(entry, parent, name, reader)) return;
  switch (entry.type) {
    case EntryType::file:
      add_file(entry, parent, name, reader);
      break;
    case EntryType::directory:
      add_directory(entry, parent, name);
      break;
    case EntryType::hardlink:
      add_hard_link(entry, parent, name);
      break;
    case EntryType::symlink:
    case EntryType::character_device:
    case EntryType::block_device:
    case EntryType::fifo:
      add_other(entry, parent, name);
      break;
  }
  note(join_path(parent.path, name));
}

/// Whether others make the entry. If not, what has to be made before it is made.
bool LayerUnpacker::make_beside(TarEntry& entry, const Directory& parent, const std::string& name,
                                TarReader& reader) {
  const bool is_new = !beside_->names.add(join_path(parent.path, name));
  if (!is_new || entry.type == EntryType::hardlink) await_others();
  if (!is_new || !SmallFiles::takes(entry)) return false;
  result_.content_bytes += entry.size_bytes;
  beside_->small_files.add(std::move(entry), name, parent.opened, reader);
  return true;
}

void LayerUnpacker::await_others() {
  if (beside_) beside_->small_files.settle();
}

/// Waits for what is under way if `path` may be among it; whether it did.
bool LayerUnpacker::settle(std::string_view path) {
  if (!beside_ || beside_->small_files.settled() || !beside_->names.may_have(path)) return false;
  await_others();
  return true;
}

/// A path of this layer, and so are the directories it is in, whether they were there or not.
void LayerUnpacker::note(std::string_view path) {
  if (beside_) beside_->names.add(path);
  if (options_.overlay_form) return;
  while (!path.empty() && made_.emplace(path).second) path = split_path(path).first;
}

/// A layer's root is the root of the whole stack, and no layer's to change (see diff.cpp).
void LayerUnpacker::add_root(const TarEntry& entry) {
  if (options_.overlay_form) return;
  maker_.set_directory_metadata(root_, entry);
  directories_.defer("", entry.mode, entry.mtime);
}

void LayerUnpacker::add_file(const TarEntry& entry, const Directory& parent,
                             const std::string& name, TarReader& content) {
  FileDescriptor file = maker_.create_file(parent.fd(), name, entry);
  if (!file && errno == EEXIST) {
    // Never opened for writing: it may be a hard link to another file.
    directories_.clear(parent, name);
    file = maker_.create_file(parent.fd(), name, entry);
  }
  if (!file) throw system_error(errno, "create", entry.path);
  for (auto piece = content.next_data(); !piece.empty(); piece = content.next_data())
    base::write_full(file.get(), piece, entry.path);
  result_.content_bytes += entry.size_bytes;
  maker_.finish_file(file.get(), entry);
}

void LayerUnpacker::add_directory(const TarEntry& entry, const Directory& parent,
                                  const std::string& name) {
  bool replaces = false;
  bool has_mode = false;
  int error = maker_.create_directory(parent.fd(), name, entry, has_mode);
  if (error == EEXIST) {
    struct ::stat status;
    if (::fstatat(parent.fd(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
      throw system_error(errno, "look at", entry.path);
    error = 0;
    if (!S_ISDIR(status.st_mode)) {
      directories_.clear(parent, name);
      replaces = true;
      error = maker_.create_directory(parent.fd(), name, entry, has_mode);
    }
  }
  if (error != 0) throw system_error(error, "create directory", entry.path);
  const std::string path = join_path(parent.path, name);
  directories_.defer(path, entry.mode, entry.mtime, has_mode);
  if (has_mode && !replaces) return;  // opened when something is to be made in it
  const Directory directory = *directories_.find(path, Missing::tell);
  maker_.set_directory_metadata(directory.fd(), entry);
  if (replaces && options_.overlay_form) maker_.make_opaque(directory.fd(), path);
}

void LayerUnpacker::add_hard_link(const TarEntry& entry, const Directory& parent,
                                  const std::string& name) {
  const Error refused(
      ErrorCode::corrupt,
      "the hard link's target " + base::quoted(entry.link_target) + " is not a file of this layer");
  const auto [directory, target_name] = split_path(entry.link_target);
  const std::string target(target_name);
  const std::optional<Directory> from = directories_.find(directory, Missing::tell);
  struct ::stat status;
  if (!from || ::fstatat(from->fd(), target.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    throw refused;
  if (S_ISDIR(status.st_mode) || is_whiteout(from->fd(), target.c_str(), status)) throw refused;
  if (!options_.overlay_form && !made_.contains(join_path(from->path, target))) throw refused;
  if (from->path == parent.path && target == name) throw refused;

  const auto link = [&] {
    return ::linkat(from->fd(), target.c_str(), parent.fd(), name.c_str(), 0);
  };
  int result = link();
  if (result != 0 && errno == EEXIST) {
    struct ::stat present;
    if (::fstatat(parent.fd(), name.c_str(), &present, AT_SYMLINK_NOFOLLOW) == 0 &&
        present.st_ino == status.st_ino && present.st_dev == status.st_dev)
      return;
    if (from->path == join_path(parent.path, name) ||
        from->path.starts_with(join_path(parent.path, name) + "/"))
      throw refused;  // it would take the place of a directory its own target is in
    directories_.clear(parent, name);
    result = link();
  }
  if (result != 0) throw system_error(errno, "create hard link", entry.path);
  // Every name's header describes the one inode; the last one stands, as with docker.
  if (S_ISREG(status.st_mode)) maker_.set_link_metadata(parent.fd(), name, entry);
}

void LayerUnpacker::add_other(const TarEntry& entry, const Directory& parent,
                              const std::string& name) {
  int error = maker_.create_other(parent.fd(), name, entry);
  if (error == EEXIST) {
    directories_.clear(parent, name);
    error = maker_.create_other(parent.fd(), name, entry);
  }
  if (error != 0) throw system_error(error, "create", entry.path);
  maker_.set_other_metadata(parent.fd(), name, entry);
}

void LayerUnpacker::add_whiteout(std::string_view directory, const std::string& target,
                                 struct timespec mtime) {
  if (!options_.overlay_form) {
    if (const auto parent = directories_.find(directory, Missing::tell))
      remove_lower(join_path(parent->path, target));
    return;
  }
  const Directory parent = *directories_.find(directory, Missing::make, mtime);
  if (beside_ && beside_->names.add(join_path(parent.path, target))) await_others();
  const int error = create_whiteout(parent.fd(), target);
  if (error == 0) return;
  if (error != EEXIST) throw system_error(error, "create whiteout", target);
  struct ::stat status;
  if (::fstatat(parent.fd(), target.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    throw system_error(errno, "look at", target);
  if (!S_ISDIR(status.st_mode)) return;
  const std::string path = join_path(parent.path, target);
  maker_.make_opaque(directories_.find(path, Missing::tell)->fd(), path);
}

void LayerUnpacker::add_opaque_mark(std::string_view directory, struct timespec mtime) {
  const Missing missing = options_.overlay_form ? Missing::make : Missing::tell;
  const std::optional<Directory> found = directories_.find(directory, missing, mtime);
  if (!found) return;
  if (found->path != directory)
    throw Error(ErrorCode::corrupt, base::quoted(directory) + " is reached through a symlink");
  if (options_.overlay_form) {
    maker_.make_opaque(found->fd(), found->path);
    return;
  }
  for (const std::string& name : base::list_directory(found->fd(), found->path))
    remove_lower(join_path(directory, name));
}

/// Removes `path` but for what this layer brought.
void LayerUnpacker::remove_lower(const std::string& path) {
  std::vector<std::string> pending = {path};
  while (!pending.empty()) {
    const std::string next = std::move(pending.back());
    pending.pop_back();
    if (!made_.contains(next)) {
      directories_.remove(next);
      continue;
    }
    const auto [directory, name] = split_path(next);
    const std::optional<Directory> parent = directories_.find(directory, Missing::tell);
    if (!parent) continue;
    const FileDescriptor below(::openat(parent->fd(), std::string(name).c_str(),
                                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!below) continue;
    for (const std::string& child : base::list_directory(below.get(), next))
      pending.push_back(join_path(next, child));
  }
}

}  // namespace

ApplyResult apply_layer(base::ByteSource& tar, int root, const ApplyOptions& options) {
  TarReader reader(tar, options.limits);
  return LayerUnpacker(root, options).unpack(reader);
}

ApplyResult apply_layer(base::PieceSource& tar, int root, const ApplyOptions& options) {
  TarReader reader(tar, options.limits);
  return LayerUnpacker(root, options).unpack(reader);
}

}  // namespace strake::layers
