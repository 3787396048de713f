#include "builder/exec/copy_files.h"

#include <fcntl.h>

#include <algorithm>

#include "builder/dockerfile/file_mode.h"
#include "builder/exec/accounts.h"
#include "builder/exec/layer_paths.h"
#include "layers/archive/archive_probe.h"
#include "layers/archive/compression.h"
#include "layers/base/error.h"
#include "layers/snapshot/apply.h"
#include "layers/snapshot/layer_directories.h"
#include "layers/snapshot/xattr_policy.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using layers::EntryType;
using layers::TarEntry;

constexpr layers::Limits kArchiveLimits{.clamp_parent_components = true};

class Copier {
 public:
  Copier(const plan::Copy& copy, const CopySource& source, const base::RootedDirectory& below,
         const layers::Store& store, UnpackedArchives& archives, LayerDraft& draft)
      : copy_(copy), source_(source), store_(store), archives_(archives), draft_(draft) {
    if (!copy.chown.empty()) owner_ = resolve_owner(below, copy.chown);
    if (!copy.chmod.empty()) mode_ = dockerfile::FileModeChange::parse(copy.chmod);
    destination_ = layer_path(below.canonical(copy.destination));
    into_directory_ = copy.destination.back() == '/';
    made_.uid = owner_ ? owner_->uid : 0;
    made_.gid = owner_ ? owner_->gid : 0;
    if (mode_ && mode_->absolute()) made_.mode = mode_->apply(0755, true) & 0777;
  }

  void run(std::span<const SelectedSource> selection) {
    if (selection.empty() && copy_.files.empty()) return;
    refuse_many_onto_one(selection);
    if (into_directory_) draft_.require_directory(destination_, made_);
    for (const SelectedSource& selected : selection) {
      if (copy_.extract && unpack(selected)) continue;
      if (copy_.parents) {
        put_below_parents(selected);
      } else if (selected.directory) {
        put_directory(selected, destination_);
      } else {
        put_file(selected, file_target(selected.name));
      }
    }
    for (const plan::InlineFile& file : copy_.files) put_inline(file);
  }

 private:
  void refuse_many_onto_one(std::span<const SelectedSource> selection) const {
    std::size_t files = copy_.files.size();
    for (const SelectedSource& selected : selection) files += selected.directory ? 0 : 1;
    if (into_directory_ || copy_.parents || files == 0 ||
        files + (selection.size() > 1 ? 1 : 0) < 2)
      return;
    if (draft_.kind(destination_) == LayerDraft::Kind::directory) return;
    throw Error(ErrorCode::invalid_input, "cannot copy several sources to " +
                                              base::quoted(copy_.destination) +
                                              ": it is not a directory")
        .hint("end the destination with \"/\"");
  }

  /// Where a file called `name` goes.
  std::string file_target(const std::string& name) const {
    const bool directory =
        into_directory_ || draft_.kind(destination_) == LayerDraft::Kind::directory;
    return directory ? join_path(destination_, name) : destination_;
  }

  void put_directory(const SelectedSource& selected, const std::string& target) {
    draft_.require_directory(target, made_);
    put_content(selected, target);
  }

  void put_content(const SelectedSource& selected, const std::string& target) {
    std::vector<const SelectedEntry*> waiting;  // directories that are there only if needed
    for (const SelectedEntry& entry : selected.entries.below_top()) {
      while (!waiting.empty() && !layers::is_below(entry.path, waiting.back()->path))
        waiting.pop_back();
      if (entry.only_as_parent) {
        waiting.push_back(&entry);
        continue;
      }
      for (const SelectedEntry* parent : waiting)
        if (draft_.kind(join_path(target, parent->path)) != LayerDraft::Kind::directory)
          draft_.put(entry_from(*parent, join_path(target, parent->path)));
      const std::string path = join_path(target, entry.path);
      draft_.require_directory(parent_path(path), made_);
      draft_.put(entry_from(entry, path), content_from(entry, source_));
    }
  }

  void put_file(const SelectedSource& selected, const std::string& target) {
    const SelectedEntry& file = selected.entries.front();
    draft_.require_directory(parent_path(target), made_);
    draft_.put(entry_from(file, target), content_from(file, source_));
  }

  void put_below_parents(const SelectedSource& selected) {
    draft_.require_directory(destination_, made_);
    for (const SelectedEntry& parent : selected.parent_entries) {
      const std::string path = join_path(destination_, parent.path);
      if (draft_.kind(path) != LayerDraft::Kind::directory) draft_.put(entry_from(parent, path));
      draft_.require_directory(path, made_);
    }
    const std::string target = join_path(destination_, selected.parents);
    if (selected.directory) {
      put_content(selected, target);
    } else {
      put_file(selected, join_path(target, selected.name));
    }
  }

  void put_inline(const plan::InlineFile& file) {
    TarEntry entry;
    entry.path = file_target(file.name);
    entry.mode = mode_ ? mode_->apply(0644, false) : 0644;
    if (owner_) entry.uid = owner_->uid;
    if (owner_) entry.gid = owner_->gid;
    entry.size_bytes = file.content.size();
    entry.mtime.tv_sec = kMadeFromNothingMtime;
    draft_.require_directory(parent_path(entry.path), made_);
    draft_.put(std::move(entry), DraftContent{.text = file.content});
  }

  // ---- Archives ----

  /// Unpacks `selected` into the destination if it is an archive; false if it is none.
  bool unpack(const SelectedSource& selected) {
    const SelectedEntry& file = selected.entries.front();
    if (selected.directory || !file.status.is_file()) return false;
    const std::string source_path(file.source_path);
    base::FileDescriptor archive = source_.root.open(source_path, O_RDONLY | O_NOFOLLOW | O_NOCTTY);
    const auto compression = layers::probe_archive(archive.get(), source_path);
    if (!compression) return false;

    base::TempDirectory work = store_.make_ingest("unpack-");
    base::RootedDirectory tree = base::RootedDirectory::open_host(work.path().string());
    const base::FileDescriptor root = tree.open("", O_RDONLY | O_DIRECTORY);
    const auto tar = layers::make_decompressor(
        std::make_unique<base::FileSource>(std::move(archive), source_path), *compression);
    try {
      layers::apply_layer(*tar, root.get(),
                          {.xattrs = store_.xattr_namespace(), .limits = kArchiveLimits});
    } catch (Error& error) {
      error.add_context("unpacking " + base::quoted(source_path));
      throw;
    }
    archives_.emplace_back(std::move(work), std::move(tree));
    put_unpacked(archives_.back().second);
    return true;
  }

  void put_unpacked(const base::RootedDirectory& tree) {
    plan::Copy everything;
    everything.sources = {"/"};
    const CopySource archive{.root = tree, .shown_name = "the archive"};
    const std::vector<SelectedSource> content = select_files(everything, archive);
    draft_.require_directory(destination_, made_);
    if (is_opaque(content.front().entries.front())) remove_all_in(destination_);
    for (const SelectedEntry& entry : content.front().entries.below_top()) {
      const std::string path = join_path(destination_, entry.path);
      if (S_ISCHR(entry.status.mode) && entry.status.device_number == 0) {
        draft_.remove(path);
        continue;
      }
      TarEntry drafted = entry_of(path, entry.status);
      drafted.link_target = entry.link_target();
      drafted.xattrs = entry.xattrs();
      if (owner_) drafted.uid = owner_->uid;
      if (owner_) drafted.gid = owner_->gid;
      draft_.replace(std::move(drafted), content_from(entry, archive));
      if (entry.status.is_directory() && is_opaque(entry)) remove_all_in(path);
    }
  }

  /// Whiteouts in an archive take away what is there, as in docker: a layer could not carry files
  /// of such names anyway.
  bool is_opaque(const SelectedEntry& directory) const {
    const base::Xattr mark(layers::opaque_xattr(store_.xattr_namespace()), "y");
    return std::ranges::find(directory.xattrs(), mark) != directory.xattrs().end();
  }

  void remove_all_in(const std::string& directory) {
    const auto status = draft_.below().lstat(directory);
    if (!status || !S_ISDIR(status->st_mode)) return;
    for (const std::string& name : draft_.below().list(directory))
      draft_.remove(join_path(directory, name));
  }

  // ---- Entries ----

  TarEntry entry_from(const SelectedEntry& selected, const std::string& path) const {
    TarEntry entry = entry_of(path, selected.status);
    entry.link_target = selected.link_target();
    entry.xattrs = selected.xattrs();
    if (source_.is_context) entry.uid = entry.gid = 0;
    if (owner_) entry.uid = owner_->uid;
    if (owner_) entry.gid = owner_->gid;
    if (mode_ && entry.type != EntryType::symlink)
      entry.mode = mode_->apply(entry.mode, entry.type == EntryType::directory);
    return entry;
  }

  static DraftContent content_from(const SelectedEntry& selected, const CopySource& source) {
    DraftContent content;
    if (!selected.status.is_file()) return content;
    content.file = {.root = &source.root,
                    .path = std::string(selected.source_path),
                    .stamp = selected.status.stamp,
                    .stamp_counts = source.is_context,
                    .plain = is_plain(selected),
                    .index = selected.index,
                    .content_known = selected.content.has_value()};
    if (selected.status.links > 1) {
      content.device = selected.status.stamp.device;
      content.inode = selected.status.stamp.inode;
    }
    return content;
  }

  const plan::Copy& copy_;
  const CopySource& source_;
  const layers::Store& store_;
  UnpackedArchives& archives_;
  LayerDraft& draft_;
  std::optional<Owner> owner_;
  std::optional<dockerfile::FileModeChange> mode_;
  std::string destination_;  // layer path, symlinks resolved
  bool into_directory_ = false;
  LayerDraft::NewDirectory made_;
};

}  // namespace

void draft_copy(const plan::Copy& copy, std::span<const SelectedSource> selection,
                const CopySource& source, const base::RootedDirectory& below,
                const layers::Store& store, UnpackedArchives& archives, LayerDraft& draft) {
  Copier(copy, source, below, store, archives, draft).run(selection);
}

}  // namespace strake::builder
