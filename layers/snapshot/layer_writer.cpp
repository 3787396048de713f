#include "layers/snapshot/layer_writer.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "layers/archive/tar_writer.h"
#include "layers/base/error.h"
#include "layers/base/rooted_directory.h"
#include "layers/snapshot/diff.h"
#include "layers/snapshot/directory_stack.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/node_maker.h"
#include "layers/snapshot/whiteout.h"

namespace strake::layers {
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::system_error;

namespace {

/// Below this, asking for shared blocks costs more than writing the bytes.
constexpr std::uint64_t kReflinkBytes = 1 << 20;

FileDescriptor make_tree(const std::filesystem::path& work) {
  const std::filesystem::path tree = work / "tree";
  if (::mkdir(tree.c_str(), 0700) != 0) throw system_error(errno, "create", tree.native());
  FileDescriptor directory(::open(tree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // The root directory of a stack is that of its topmost layer, so they all look the same.
  if (!directory || ::fchmod(directory.get(), 0755) != 0)
    throw system_error(errno, "create", tree.native());
  return directory;
}

FileDescriptor duplicate(const FileDescriptor& fd) {
  return fd.duplicate();
}

Error changed_while_read(const std::string& path) {
  return Error(ErrorCode::invalid_input, base::quoted(path) + " changed while it was read")
      .hint("run the build again when nothing writes to the file");
}

}  // namespace

struct LayerWriter::State {
  State(base::TempDirectory directory, const LayerWriterOptions& given)
      : work(std::move(directory)),
        options(given),
        root(make_tree(work.path())),
        rooted(duplicate(root)),
        maker(options.xattrs, true),
        hash(options.also),
        tar(hash),
        buffer(base::kStreamBufferBytes) {
    stack.push(duplicate(root));
  }

  /// A directory that entries may still be added to.
  struct Pending {
    std::string path;
    std::uint32_t mode;
    struct timespec mtime;
  };

  TarEntry checked(const TarEntry& given) const;
  void go_to(std::string_view directory);
  void leave_directory();
  void add(const TarEntry& given);
  void add_whiteout(const std::string& path);
  void add_directory(const TarEntry& entry, const std::string& name);
  void add_hard_link(TarEntry& entry, const std::string& name);
  /// Makes the file; `fill(file)` writes the bytes to it and to the tar.
  template <typename Fill>
  void add_file(const TarEntry& given, const Fill& fill);
  void copy_content(const TarEntry& entry, int from, FileDescriptor& to);
  void copy_content(const TarEntry& entry, base::ByteSource& from, FileDescriptor& to);
  bool clone_content(const TarEntry& entry, int from, FileDescriptor& to);

  base::TempDirectory work;
  LayerWriterOptions options;
  FileDescriptor root;
  base::RootedDirectory rooted;
  NodeMaker maker;
  base::HashingSink hash;
  TarWriter tar;
  std::vector<std::byte> buffer;
  DirectoryStack stack;
  std::vector<Pending> pending;  // the directories of `stack` but the root
  std::string last_path;
  std::map<ino_t, std::string> hard_links;  // the first path of each linked file
  bool reflink_works = true;
};

/// The entry as both tar and tree will have it.
TarEntry LayerWriter::State::checked(const TarEntry& given) const {
  if (!last_path.empty() && !path_before(last_path, given.path))
    throw Error(ErrorCode::system, "internal error: layer entry " + base::quoted(given.path) +
                                       " was added after " + base::quoted(last_path));
  if (split_path(given.path).second.starts_with(kWhiteoutPrefix))
    throw Error(ErrorCode::invalid_input,
                "cannot store " + base::quoted(given.path) +
                    " in a layer: names that begin with \".wh.\" mean removed files there");
  TarEntry entry = given;
  if (options.clamp_mtime && entry.mtime.tv_sec > *options.clamp_mtime)
    entry.mtime = {static_cast<time_t>(*options.clamp_mtime), 0};
  std::erase_if(entry.xattrs, [](const base::Xattr& xattr) {
    return !is_layer_xattr(xattr.first, xattr.second);
  });
  if (entry.type == EntryType::symlink) entry.mode = 0777;
  return entry;
}

/// Leaves directories until the innermost one is `directory`.
void LayerWriter::State::go_to(std::string_view directory) {
  while (!pending.empty() && pending.back().path != directory) leave_directory();
  if (pending.empty() && !directory.empty())
    throw Error(ErrorCode::system, "internal error: directory " + base::quoted(directory) +
                                       " was not added to the layer");
}

void LayerWriter::State::leave_directory() {
  const Pending& directory = pending.back();
  maker.finish_directory(stack.top(), directory.path, directory.mode, directory.mtime);
  stack.pop(directory.path);
  pending.pop_back();
}

void LayerWriter::State::add(const TarEntry& given) {
  TarEntry entry = checked(given);
  const auto [directory, name_view] = split_path(entry.path);
  const std::string name(name_view);
  go_to(directory);
  switch (entry.type) {
    case EntryType::file:
      throw Error(ErrorCode::system, "internal error: a file was added without content");
    case EntryType::directory:
      add_directory(entry, name);
      break;
    case EntryType::hardlink:
      add_hard_link(entry, name);
      break;
    case EntryType::symlink:
    case EntryType::character_device:
    case EntryType::block_device:
    case EntryType::fifo:
      if (const int error = maker.create_other(stack.top(), name, entry); error != 0)
        throw system_error(error, "create", entry.path);
      maker.set_other_metadata(stack.top(), name, entry);
      break;
  }
  tar.add(entry);
  last_path = std::move(entry.path);
}

void LayerWriter::State::add_whiteout(const std::string& path) {
  const auto [directory, name] = split_path(path);
  if (last_path != directory)
    throw Error(ErrorCode::system, "internal error: the whiteout of " + base::quoted(path) +
                                       " does not follow its directory");
  go_to(directory);
  if (const int error = create_whiteout(stack.top(), std::string(name)); error != 0)
    throw system_error(error, "create whiteout", path);
  tar.add(marker_entry(join_path(directory, whiteout_name(name))));
}

void LayerWriter::State::add_directory(const TarEntry& entry, const std::string& name) {
  if (const int error = maker.create_other(stack.top(), name, entry); error != 0)
    throw system_error(error, "create directory", entry.path);
  FileDescriptor directory(
      ::openat(stack.top(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open directory", entry.path);
  maker.set_directory_metadata(directory.get(), entry);
  stack.push(std::move(directory));
  pending.push_back({entry.path, entry.mode, entry.mtime});
}

/// The tar that is written again from the tree names the first path of a file as the target of all
/// its links, and says of each what the file has; so must this one.
void LayerWriter::State::add_hard_link(TarEntry& entry, const std::string& name) {
  const auto target = rooted.lstat(entry.link_target);
  if (!target || !S_ISREG(target->st_mode) ||
      rooted.canonical(entry.link_target) != "/" + entry.link_target)
    throw Error(ErrorCode::system, "internal error: hard link " + base::quoted(entry.path) +
                                       " to " + base::quoted(entry.link_target) +
                                       ", which is no file of the layer");
  const auto [parent, target_name] = rooted.open_parent(entry.link_target);
  if (::linkat(parent.get(), target_name.c_str(), stack.top(), name.c_str(), 0) != 0)
    throw system_error(errno, "create hard link", entry.path);
  entry.link_target = hard_links.try_emplace(target->st_ino, entry.link_target).first->second;
  entry.mode = target->st_mode & 07777;
  entry.mtime = target->st_mtim;
  entry.xattrs.clear();
  entry.uid = target->st_uid;
  entry.gid = target->st_gid;
  if (options.xattrs == XattrNamespace::trusted) return;
  for (const auto& [xattr, value] : rooted.xattrs(entry.link_target)) {
    base::RecordedOwner owner;
    if (xattr != kOwnerXattr || !base::parse_recorded_owner(value, owner)) continue;
    entry.uid = owner.uid;
    entry.gid = owner.gid;
  }
}

template <typename Fill>
void LayerWriter::State::add_file(const TarEntry& given, const Fill& fill) {
  TarEntry entry = checked(given);
  const auto [directory, name_view] = split_path(entry.path);
  go_to(directory);
  FileDescriptor file = maker.create_file(stack.top(), std::string(name_view));
  if (!file) throw system_error(errno, "create", entry.path);
  tar.begin(entry);
  fill(entry, file);
  maker.set_file_metadata(file.get(), entry);
  last_path = std::move(entry.path);
}

void LayerWriter::State::copy_content(const TarEntry& entry, base::ByteSource& from,
                                      FileDescriptor& to) {
  std::uint64_t left = entry.size_bytes;
  while (const std::size_t count = from.read(buffer)) {
    if (count > left) throw changed_while_read(entry.path);
    const auto bytes = std::span(buffer).first(count);
    base::write_full(to.get(), bytes, entry.path);
    tar.write(bytes);
    left -= count;
  }
  if (left > 0) throw changed_while_read(entry.path);
}

void LayerWriter::State::copy_content(const TarEntry& entry, int from, FileDescriptor& to) {
  if (clone_content(entry, from, to)) return;
  std::uint64_t left = entry.size_bytes;
  // One byte more than expected is asked for: most files are read, and found to have the right
  // size, by a single call.
  while (left > 0) {
    const auto piece = std::span(buffer).first(std::min<std::uint64_t>(left + 1, buffer.size()));
    const std::size_t count = base::read_some(from, piece, entry.path);
    if (count == 0 || count > left) throw changed_while_read(entry.path);
    base::write_full(to.get(), piece.first(count), entry.path);
    tar.write(piece.first(count));
    left -= count;
  }
}

/// Lets the new file share the blocks of `from`, and hashes the new file: it is a copy that nobody
/// writes to.
bool LayerWriter::State::clone_content(const TarEntry& entry, int from, FileDescriptor& to) {
  if (!reflink_works || entry.size_bytes < kReflinkBytes) return false;
  if (::ioctl(to.get(), FICLONE, from) != 0) {
    // Never on this file system, or from that one (or, EINVAL, of that file): it is only a saving.
    reflink_works = false;
    return false;
  }
  std::uint64_t left = entry.size_bytes;
  while (const std::size_t count = base::read_some(to.get(), buffer, entry.path)) {
    if (count > left) throw changed_while_read(entry.path);
    tar.write(std::span(buffer).first(count));
    left -= count;
  }
  if (left > 0) throw changed_while_read(entry.path);
  return true;
}

LayerWriter::LayerWriter(base::TempDirectory work, const LayerWriterOptions& options)
    : state_(std::make_unique<State>(std::move(work), options)) {}
LayerWriter::LayerWriter(LayerWriter&&) noexcept = default;
LayerWriter& LayerWriter::operator=(LayerWriter&&) noexcept = default;
LayerWriter::~LayerWriter() = default;

void LayerWriter::add(const TarEntry& entry) {
  if (entry.type != EntryType::file) return state_->add(entry);
  base::StringSource nothing("");
  add(entry, nothing);
}

void LayerWriter::add(const TarEntry& entry, base::ByteSource& content) {
  state_->add_file(entry, [&](const TarEntry& checked, FileDescriptor& file) {
    state_->copy_content(checked, content, file);
  });
}

void LayerWriter::add_file(const TarEntry& entry, int content) {
  state_->add_file(entry, [&](const TarEntry& checked, FileDescriptor& file) {
    state_->copy_content(checked, content, file);
  });
}

void LayerWriter::add_whiteout(const std::string& path) {
  state_->add_whiteout(path);
}

bool LayerWriter::empty() const noexcept {
  return state_->last_path.empty();
}

auto LayerWriter::finish() && -> Finished {
  while (!state_->pending.empty()) state_->leave_directory();
  state_->tar.finish();
  const oci::Layer layer = {{state_->hash.finish()}, state_->hash.size_bytes()};
  return {std::move(state_->work), layer};
}

}  // namespace strake::layers
