#include "layers/snapshot/layer_writer.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <unordered_map>
#include <utility>

#include "layers/archive/tar_entry.h"
#include "layers/base/error.h"
#include "layers/snapshot/diff.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/layer_tree.h"
#include "layers/snapshot/whiteout.h"

namespace strake::layers {
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;

namespace {

FileDescriptor make_tar(const base::TempDirectory& work) {
  const std::filesystem::path path = work.path() / "layer.tar";
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) throw base::system_error(errno, "create", path.native());
  return file;
}

Error changed_while_read(const std::string& path) {
  return Error(ErrorCode::invalid_input, base::quoted(path) + " changed while it was read")
      .hint("run the build again when nothing writes to the file");
}

class DescriptorSource final : public base::ByteSource {
 public:
  DescriptorSource(int file, const std::string& subject) : file_(file), subject_(subject) {}
  std::size_t read(std::span<std::byte> buffer) override {
    return base::read_some(file_, buffer, subject_);
  }

 private:
  int file_;
  const std::string& subject_;
};

/// Writes to a file of the tree what is read through it, and sees to the size.
class WritingSource final : public base::ByteSource {
 public:
  WritingSource(base::ByteSource& from, const FileDescriptor& to, const TarEntry& entry)
      : from_(from), to_(to), entry_(entry), left_(entry.size_bytes) {}

  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t count = from_.read(buffer);
    if (count > left_ || (count == 0 && left_ > 0)) throw changed_while_read(entry_.path);
    if (to_) base::write_full(to_.get(), buffer.first(count), entry_.path);
    left_ -= count;
    return count;
  }

 private:
  base::ByteSource& from_;
  const FileDescriptor& to_;
  const TarEntry& entry_;
  std::uint64_t left_;
};

}  // namespace

struct LayerWriter::State {
  State(base::TempDirectory directory, const LayerWriterOptions& given)
      : work(std::move(directory)), options(given), hash(options.also) {
    if (options.form == LayerForm::tree) tree.emplace(work.path() / "tree", options.xattrs);
    if (options.form == LayerForm::tar) file = make_tar(work);
    tar.emplace(hash, ParallelTarWriter::Options{.file = file.get(), .file_name = "layer.tar"});
  }

  TarEntry checked(const TarEntry& given) const;
  void enter_parent_of(const std::string& path);
  void add(const TarEntry& given);
  void add_whiteout(const std::string& path);
  void add_hard_link(TarEntry& entry, const std::string& name);
  void add_file(const TarEntry& given, base::ByteSource& content);
  void add_file(const TarEntry& given, std::shared_ptr<TarContent> content, Links links);
  void note_link_target(const TarEntry& entry);

  base::TempDirectory work;
  LayerWriterOptions options;
  base::HashingSink hash;
  FileDescriptor file;            // LayerForm::tar
  std::optional<LayerTree> tree;  // LayerForm::tree
  std::string last_path;
  std::vector<std::string> directories;  // that entries may still be added to, outermost first
  /// What hard links to a file say of it, and its first path.
  std::unordered_map<std::string, TarEntry> link_targets;
  /// The last member: its jobs use the others, and are over when it is gone.
  std::optional<ParallelTarWriter> tar;
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

void LayerWriter::State::enter_parent_of(const std::string& path) {
  const std::string_view parent = split_path(path).first;
  while (!directories.empty() && directories.back() != parent) directories.pop_back();
  if (directories.empty() && !parent.empty())
    throw Error(ErrorCode::system, "internal error: directory " + base::quoted(parent) +
                                       " was not added to the layer");
  if (tree) tree->go_to(parent);
}

void LayerWriter::State::add(const TarEntry& given) {
  TarEntry entry = checked(given);
  enter_parent_of(entry.path);
  const std::string name(split_path(entry.path).second);
  switch (entry.type) {
    case EntryType::file:
      throw Error(ErrorCode::system, "internal error: a file was added without content");
    case EntryType::directory:
      if (tree) tree->add_directory(entry, name);
      directories.push_back(entry.path);
      break;
    case EntryType::hardlink:
      add_hard_link(entry, name);
      break;
    case EntryType::symlink:
    case EntryType::character_device:
    case EntryType::block_device:
    case EntryType::fifo:
      if (tree) tree->add_other(entry, name);
      break;
  }
  tar->add(entry);
  last_path = std::move(entry.path);
}

void LayerWriter::State::add_whiteout(const std::string& path) {
  const auto [directory, name] = split_path(path);
  if (last_path != directory)
    throw Error(ErrorCode::system, "internal error: the whiteout of " + base::quoted(path) +
                                       " does not follow its directory");
  enter_parent_of(path);
  if (tree) tree->add_whiteout(path, std::string(name));
  tar->add(marker_entry(join_path(directory, whiteout_name(name))));
}

/// The tar that is written again from the tree names the first path of a file as the target of all
/// its links, and says of each what the file has; so must this one.
void LayerWriter::State::add_hard_link(TarEntry& entry, const std::string& name) {
  const auto target = link_targets.find(entry.link_target);
  if (target == link_targets.end())
    throw Error(ErrorCode::system, "internal error: hard link " + base::quoted(entry.path) +
                                       " to " + base::quoted(entry.link_target) +
                                       ", which is no file of the layer");
  const TarEntry& first = target->second;
  if (tree) tree->add_hard_link(entry, name);
  entry.link_target = first.path;
  entry.mode = first.mode;
  entry.mtime = first.mtime;
  entry.xattrs.clear();
  entry.uid = first.uid;
  entry.gid = first.gid;
  link_targets.emplace(entry.path, first);
}

void LayerWriter::State::note_link_target(const TarEntry& entry) {
  TarEntry target = entry;
  target.xattrs.clear();
  link_targets.emplace(entry.path, std::move(target));
}

void LayerWriter::State::add_file(const TarEntry& given, base::ByteSource& content) {
  TarEntry entry = checked(given);
  enter_parent_of(entry.path);
  FileDescriptor made;
  if (tree) made = tree->create_file(entry, std::string(split_path(entry.path).second));
  WritingSource source(content, made, entry);
  tar->add(entry, source);
  if (tree) tree->finish_file(made, entry);
  note_link_target(entry);
  last_path = std::move(entry.path);
}

void LayerWriter::State::add_file(const TarEntry& given, std::shared_ptr<TarContent> content,
                                  Links links) {
  TarEntry entry = checked(given);
  enter_parent_of(entry.path);
  if (links == Links::may_follow) note_link_target(entry);
  if (tree)
    content = tree->add_file(entry, std::string(split_path(entry.path).second), std::move(content),
                             links == Links::may_follow);
  tar->add(entry, std::move(content));
  last_path = std::move(entry.path);
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
  state_->add_file(entry, content);
}

void LayerWriter::add_file(const TarEntry& entry, int content) {
  DescriptorSource source(content, entry.path);
  state_->add_file(entry, source);
}

void LayerWriter::add_file(const TarEntry& entry, std::shared_ptr<TarContent> content,
                           Links links) {
  state_->add_file(entry, std::move(content), links);
}

void LayerWriter::add_whiteout(const std::string& path) {
  state_->add_whiteout(path);
}

bool LayerWriter::empty() const noexcept {
  return state_->last_path.empty();
}

auto LayerWriter::finish() && -> Finished {
  state_->tar->finish();
  if (state_->tree) state_->tree->finish();
  const oci::Layer layer = {{state_->hash.finish()}, state_->hash.size_bytes()};
  return {std::move(state_->work), layer, state_->options.form};
}

}  // namespace strake::layers
