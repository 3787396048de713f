#include "layers/snapshot/layer_tree.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "layers/base/error.h"

namespace strake::layers {
using base::FileDescriptor;
using base::system_error;

namespace {

/// Below this, asking for shared blocks costs more than writing the bytes.
constexpr std::uint64_t kReflinkBytes = 1 << 20;

FileDescriptor make_root(const std::filesystem::path& path) {
  if (::mkdir(path.c_str(), 0700) != 0) throw system_error(errno, "create", path.native());
  FileDescriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // The root directory of a stack is that of its topmost layer, so they all look the same.
  if (!directory || ::fchmod(directory.get(), 0755) != 0)
    throw system_error(errno, "create", path.native());
  return directory;
}

}  // namespace

/// A file that is made by whoever reads it, in one piece.
class LayerTree::SmallFile final : public TarContent {
 public:
  SmallFile(const LayerTree& tree, TarEntry entry, std::string name,
            std::shared_ptr<TarContent> from, const Level& level)
      : tree_(tree),
        entry_(std::move(entry)),
        name_(std::move(name)),
        from_(std::move(from)),
        level_(level) {}

  void read(std::uint64_t offset, std::span<std::byte> to) override {
    from_->read(offset, to);
    const FileDescriptor file = tree_.maker_.create_file(level_.opened->get(), name_);
    if (!file) throw system_error(errno, "create", entry_.path);
    base::write_full(file.get(), to, entry_.path);
    tree_.finish_file(file, entry_);
    tree_.leave(*level_.directory, level_.opened->get());
  }

 private:
  const LayerTree& tree_;
  const TarEntry entry_;
  const std::string name_;
  const std::shared_ptr<TarContent> from_;
  const Level level_;
};

/// A file that was made already, and is written by whoever reads it, in any order of its pieces.
class LayerTree::LargeFile final : public TarContent {
 public:
  LargeFile(const LayerTree& tree, TarEntry entry, std::shared_ptr<TarContent> from,
            FileDescriptor file)
      : tree_(tree),
        entry_(std::move(entry)),
        from_(std::move(from)),
        file_(std::move(file)),
        pieces_left_((entry_.size_bytes + kTarPieceBytes - 1) / kTarPieceBytes) {}

  /// Shares the blocks of the source instead of writing them, if the file system can.
  bool clone() {
    const FileDescriptor source = from_->open();
    return cloned_ = source && ::ioctl(file_.get(), FICLONE, source.get()) == 0;
  }

  void read(std::uint64_t offset, std::span<std::byte> to) override {
    from_->read(offset, to);
    if (!cloned_) base::pwrite_full(file_.get(), to, offset, entry_.path);
    if (pieces_left_.fetch_sub(1) == 1) tree_.finish_file(file_, entry_);
  }

 private:
  const LayerTree& tree_;
  const TarEntry entry_;
  const std::shared_ptr<TarContent> from_;
  const FileDescriptor file_;
  bool cloned_ = false;
  std::atomic<std::uint64_t> pieces_left_;
};

LayerTree::LayerTree(const std::filesystem::path& path, XattrNamespace xattrs)
    : root_(make_root(path)), rooted_(root_.duplicate()), maker_(xattrs, true) {
  stack_.push(root_.duplicate());
  levels_.push_back({std::make_shared<Directory>(), nullptr});
}

void LayerTree::go_to(std::string_view directory) {
  while (levels_.size() > 1 && levels_.back().directory->path != directory) leave_directory();
  if (levels_.back().directory->path != directory)
    throw base::Error(
        base::ErrorCode::system,
        "internal error: directory " + base::quoted(directory) + " was not added to the layer");
}

void LayerTree::leave_directory() {
  const Level level = std::move(levels_.back());
  levels_.pop_back();
  leave(*level.directory, stack_.top());
  stack_.pop(level.directory->path);
}

/// The last one who has something to do in a directory closes it.
void LayerTree::leave(Directory& directory, int opened) const {
  if (directory.users.fetch_sub(1) > 1 || directory.path.empty()) return;
  maker_.finish_directory(opened, directory.path, directory.mode, directory.mtime);
}

void LayerTree::add_directory(const TarEntry& entry, const std::string& name) {
  if (const int error = maker_.create_other(stack_.top(), name, entry); error != 0)
    throw system_error(error, "create directory", entry.path);
  FileDescriptor directory(
      ::openat(stack_.top(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open directory", entry.path);
  NodeMaker(maker_).set_directory_metadata(directory.get(), entry);
  levels_.back().opened.reset();  // however deep a tree is, few of its directories are open
  stack_.push(std::move(directory));
  auto added = std::make_shared<Directory>();
  added->path = entry.path;
  added->mode = entry.mode;
  added->mtime = entry.mtime;
  levels_.push_back({std::move(added), nullptr});
}

void LayerTree::add_other(const TarEntry& entry, const std::string& name) {
  if (const int error = maker_.create_other(stack_.top(), name, entry); error != 0)
    throw system_error(error, "create", entry.path);
  maker_.set_other_metadata(stack_.top(), name, entry);
}

void LayerTree::add_hard_link(const TarEntry& entry, const std::string& name) {
  const auto [parent, target] = rooted_.open_parent(entry.link_target);
  if (::linkat(parent.get(), target.c_str(), stack_.top(), name.c_str(), 0) != 0)
    throw system_error(errno, "create hard link", entry.path);
}

void LayerTree::add_whiteout(const std::string& path, const std::string& name) {
  if (const int error = create_whiteout(stack_.top(), name); error != 0)
    throw system_error(error, "create whiteout", path);
}

std::shared_ptr<TarContent> LayerTree::add_file(const TarEntry& entry, const std::string& name,
                                                std::shared_ptr<TarContent> content, bool at_once) {
  if (!at_once && entry.size_bytes > 0 && entry.size_bytes <= kTarPieceBytes) {
    Level& level = levels_.back();
    if (!level.opened)
      level.opened =
          std::make_shared<const FileDescriptor>(::fcntl(stack_.top(), F_DUPFD_CLOEXEC, 0));
    if (!*level.opened) throw system_error(errno, "open directory", level.directory->path);
    ++level.directory->users;
    return std::make_shared<SmallFile>(*this, entry, name, std::move(content), level);
  }
  FileDescriptor file = create_file(entry, name);
  if (entry.size_bytes == 0) {
    finish_file(file, entry);
    return content;
  }
  auto large = std::make_shared<LargeFile>(*this, entry, std::move(content), std::move(file));
  // Never on this file system, or from that one (or, EINVAL, of that file): it is only a saving.
  if (reflink_works_ && entry.size_bytes >= kReflinkBytes) reflink_works_ = large->clone();
  return large;
}

FileDescriptor LayerTree::create_file(const TarEntry& entry, const std::string& name) {
  FileDescriptor file = maker_.create_file(stack_.top(), name);
  if (!file) throw system_error(errno, "create", entry.path);
  return file;
}

void LayerTree::finish_file(const FileDescriptor& file, const TarEntry& entry) const {
  NodeMaker(maker_).set_file_metadata(file.get(), entry);
}

void LayerTree::finish() {
  while (levels_.size() > 1) leave_directory();
}

}  // namespace strake::layers
