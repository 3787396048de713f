// The steps that know what they add, and so run nothing: COPY, ADD, WORKDIR.

#include <algorithm>

#include "builder/exec/accounts.h"
#include "builder/exec/copy_files.h"
#include "builder/exec/layer_paths.h"
#include "builder/exec/step_pending.h"
#include "cache/disk_cache.h"
#include "layers/base/error.h"
#include "layers/base/trace.h"
#include "layers/layer_store.h"

namespace strake::builder {

using base::Error;
using base::ErrorCode;

// ---- Keys ---------------------------------------------------------------------------------------

void StepRunner::probe_copy(const plan::Copy& copy, const StepResult& below,
                            const std::vector<StepResult>& inputs, Pending& pending) {
  if (copy.from) {
    const StepResult& source = inputs[static_cast<std::size_t>(*copy.from)];
    pending.key = copy_from_key(copy, below.chain, source.chain, request_);
    return;
  }
  if (copy.sources.empty()) {  // here-documents only: the context is not looked at
    static cache::StatMemo no_memo;
    const base::RootedDirectory nothing{base::FileDescriptor()};
    pending.key =
        copy_key(copy, below.chain, {}, {.root = nothing, .shown_name = ""}, no_memo, request_);
    return;
  }
  CopySource source = context_source(copy.context);
  source.memo = &memo_of(copy.context);
  pending.selection = select_files(copy, source);
  pending.digests = SelectionDigests(pending.selection);
  pending.operation = copy_operation(copy, below.chain, request_);
  pending.learns_key = !copy.extract && !pending.digests.complete() && misses_certainly(pending);
  if (pending.learns_key) {
    pending.key.key = lock_of(copy, pending);
    pending.key_is_enough = false;
  } else {
    find_key(copy, below, pending);
  }
}

/// What two builds lock that copy the same directory, and do not know the key yet.
cache::CacheKey StepRunner::lock_of(const plan::Copy& copy, const Pending& pending) const {
  cache::KeyBuilder key("copy-lock/1");
  key.field("operation", pending.operation.digest.str());
  key.field("context", input_.context(copy.context).directory().native());
  return std::move(key).finish();
}

/// Whether there can be no record of what was selected, seen without reading its files. (There may
/// be one that is older than the latest: then it is found when the files were copied.)
bool StepRunner::misses_certainly(const Pending& pending) {
  if (!pending.may_reuse) return true;
  const std::optional<cache::CacheRecord> latest = machine_.cache.find_latest(pending.operation);
  return !latest || (latest->files && differs_without_reading(pending.selection, *latest->files));
}

/// The key of a COPY of a context; files that are still unknown are read for it.
void StepRunner::find_key(const plan::Copy& copy, const StepResult& below, Pending& pending) {
  const CopySource source = context_source(copy.context);
  pending.digests.read_missing(source, memo_of(copy.context));
  pending.key = copy_key(copy, below.chain, pending.selection, source, pending.digests, request_);
  pending.learns_key = false;
  pending.key_is_enough = true;
  pending.manifest = [this, &copy, &pending] {
    return copy_manifest(pending.selection, context_source(copy.context), pending.digests);
  };
}

/// What is known about the files of a context from earlier builds.
cache::StatMemo& StepRunner::memo_of(const std::string& context) {
  const std::lock_guard lock(memo_mutex_);
  std::unique_ptr<cache::StatMemo>& memo = memos_[context];
  if (memo == nullptr) {
    const BuildContext& files = input_.context(context);
    memo = files.temporary() ? std::make_unique<cache::StatMemo>()
                             : std::make_unique<cache::StatMemo>(cache::StatMemo::file_for(
                                   machine_.store.memo(), files.directory()));
  }
  return *memo;
}

// ---- Layers -------------------------------------------------------------------------------------

CopySource StepRunner::context_source(const std::string& context) const {
  const BuildContext& files = input_.context(context);
  return {.root = files.root(),
          .ignored = &files.ignored(),
          .is_context = true,
          .shown_name = "the build context" + (context.empty() ? "" : " " + context)};
}

void StepRunner::select_from_stage(const plan::Copy& copy, const StepResult& below,
                                   const std::vector<StepResult>& inputs, Pending& pending) {
  const StepResult& from = inputs[static_cast<std::size_t>(*copy.from)];
  fetcher_.ensure_trees(from.stack);
  pending.source_mount.emplace(machine_.store, machine_.layers, from.stack, layers::Writable::no);
  const CopySource source{.root = pending.source_mount->root(),
                          .shown_name = "the source of --from"};
  pending.selection = select_files(copy, source);
  // Inodes of an overlay change from mount to mount: what is read here is not worth remembering.
  cache::StatMemo memo;
  pending.digests = SelectionDigests(pending.selection);
  pending.digests.read_missing(source, memo);
  pending.content_key =
      copy_key(copy, below.chain, pending.selection, source, pending.digests, request_);
  pending.manifest = [source, &pending] {
    return copy_manifest(pending.selection, source, pending.digests);
  };
}

std::optional<oci::Layer> StepRunner::copy(const plan::Copy& copy, const StepResult& below,
                                           Pending& pending) {
  const std::vector<base::DiffId> nothing;
  const std::vector<base::DiffId>& stack = copy.link ? nothing : below.stack;
  fetcher_.ensure_trees(stack);
  const layers::RootTree mount(machine_.store, machine_.layers, stack, layers::Writable::no);
  const CopySource source =
      pending.source_mount
          ? CopySource{.root = pending.source_mount->root(), .shown_name = "the source of --from"}
      : copy.sources.empty() ? CopySource{.root = mount.root(), .shown_name = ""}
                             : context_source(copy.context);
  UnpackedArchives archives;
  LayerDraft draft(mount.root());
  draft_copy(copy, pending.selection, source, mount.root(), machine_.store, archives, draft);
  const auto is_known = [&] {
    find_key(copy, below, pending);
    pending.found = find(pending, pending.key, below);
    return pending.found.has_value();
  };
  const auto make = [&] {
    if (!pending.learns_key) return seal_draft(draft, pending);
    LearnedDigests learned{pending.digests, memo_of(copy.context)};
    const std::optional<oci::Layer> layer = seal_draft(draft, pending, &learned, is_known);
    return pending.found ? pending.found->layer : layer;
  };
  // All platforms copy the same files of the context.
  const bool has_twins = request_.platforms.size() > 1 && !copy.from && !copy.sources.empty();
  if (!has_twins || copy.extract) return make();
  const SharedDrafts::Made made = drafts_.once(draft.identity(), make);
  if (made.by_another_step) {
    if (pending.learns_key) is_known();
    pending.took_previous = pending.previous && pending.previous->layer == made.layer;
  }
  return made.layer;
}

std::optional<oci::Layer> StepRunner::fetched(const StepResult& below, Pending& pending) {
  fetcher_.ensure_trees(below.stack);
  const layers::RootTree mount(machine_.store, machine_.layers, below.stack, layers::Writable::no);
  LayerDraft draft(mount.root());
  pending.fetched->put_into(draft);
  return seal_draft(draft, pending);
}

std::optional<oci::Layer> StepRunner::make_directory(const plan::MakeDirectory& directory,
                                                     const StepResult& below, Pending& pending) {
  fetcher_.ensure_trees(below.stack);
  const layers::RootTree mount(machine_.store, machine_.layers, below.stack, layers::Writable::no);
  const std::string path = layer_path(mount.root().canonical(directory.path));
  LayerDraft draft(mount.root());
  switch (draft.kind(path)) {
    case LayerDraft::Kind::directory:
      return std::nullopt;
    case LayerDraft::Kind::other:
      throw Error(ErrorCode::invalid_input,
                  base::quoted(directory.path) + " is not a directory in the image");
    case LayerDraft::Kind::absent:
      break;
  }
  const Account owner = resolve_account(mount.root(), directory.user);
  draft.require_directory(path, {.mode = 0755, .uid = owner.uid, .gid = owner.gid});
  return seal_draft(draft, pending);
}

/// `is_known` is asked when the layer is written, but not stored yet: then it need not be.
std::optional<oci::Layer> StepRunner::seal_draft(const LayerDraft& draft, Pending& pending,
                                                 LearnedDigests* learned,
                                                 const std::function<bool()>& is_known) {
  if (draft.empty()) {
    if (is_known) is_known();
    return std::nullopt;
  }
  const base::TraceSpan span("seal");
  const std::unique_ptr<LayerBlobBuilder> blob = pending.blob();
  const layers::LayerForm form = pending.tree_is_read ? layers::LayerForm::tree
                                 : blob               ? layers::LayerForm::nothing
                                                      : layers::LayerForm::tar;
  layers::LayerWriter writer = machine_.layers.writer(
      {.form = form, .clamp_mtime = request_.source_date_epoch, .also = blob.get()});
  draft.write(writer, learned);
  layers::LayerWriter::Finished finished = std::move(writer).finish();
  if (is_known && is_known()) return std::nullopt;
  const oci::Layer layer = machine_.layers.seal(std::move(finished));
  if (form == layers::LayerForm::tree && pending.previous && pending.previous->layer != layer) {
    const base::FileDescriptor now = machine_.layers.open_tree(layer.diff_id);
    if (take_previous(now, pending)) return pending.previous->layer;
  }
  if (blob) blob->commit(layer.diff_id);
  return layer;
}

}  // namespace strake::builder
