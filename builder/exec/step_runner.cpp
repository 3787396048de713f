#include "builder/exec/step_runner.h"

#include <fcntl.h>

#include <algorithm>

#include "builder/exec/mount_point_layer.h"
#include "builder/exec/run_command.h"
#include "builder/exec/run_mounts.h"
#include "builder/exec/shown_task.h"
#include "builder/exec/step_pending.h"
#include "builder/sandbox/emulation.h"
#include "builder/sandbox/sandbox.h"
#include "cache/disk_cache.h"
#include "cache/explain.h"
#include "layers/base/error.h"
#include "layers/base/trace.h"
#include "layers/layer_store.h"
#include "layers/snapshot/tree_equal.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using Clock = std::chrono::system_clock;

StepResult on_top(const StepResult& below, const std::optional<oci::Layer>& layer,
                  Clock::time_point created) {
  StepResult result = below;
  result.layer = layer;
  result.created = created;
  result.emulated = {};
  if (layer) {
    result.stack.push_back(layer->diff_id);
    result.chain = base::chain_id(below.chain, layer->diff_id);
  }
  return result;
}

TaskInfo task_of(const plan::BuildPlan& plan, const plan::Step& step) {
  return {plan.platform.str() + " " + step.stage, step.label, step.title};
}

}  // namespace

StepRunner::StepRunner(const BuildRequest& request, Machine& machine, BuildInput& input,
                       Secrets& secrets, const DeviceTable& devices, std::stop_token stop)
    : request_(request),
      machine_(machine),
      input_(input),
      stop_(stop),
      fetcher_(machine, stop, request.pull),
      secrets_(secrets),
      devices_(devices) {}

StepRunner::~StepRunner() = default;

StepRunner::Pending& StepRunner::pending_for(const plan::BuildPlan& plan, const plan::Step& step) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Pending>& pending = pending_[&step];
  if (!pending) {
    pending = std::make_unique<Pending>();
    pending->slot = slot_of(step, plan, input_.name());
    const std::vector<std::string>& afresh = request_.no_cache_stages;
    pending->tree_is_read = reads_tree(plan, step);
    pending->may_reuse =
        !request_.no_cache && std::find(afresh.begin(), afresh.end(), step.stage) == afresh.end();
  }
  return *pending;
}

/// Whether anything in this build looks at the files of a step's result.
bool StepRunner::reads_tree(const plan::BuildPlan& plan, const plan::Step& step) const {
  for (const OutputSpec& output : request_.outputs)
    if (output.kind == OutputSpec::Kind::tar || output.kind == OutputSpec::Kind::local) return true;
  return std::any_of(plan.steps.begin(), plan.steps.end(), [&](const plan::Step& other) {
    const std::vector<plan::StepId> inputs = plan::inputs_of(other);
    return std::find(inputs.begin(), inputs.end(), step.id) != inputs.end();
  });
}

std::optional<StepResult> StepRunner::find(const Pending& pending, const StepKey& key,
                                           const StepResult& below) {
  if (!pending.may_reuse) return std::nullopt;
  const std::optional<cache::CacheRecord> record = machine_.cache.find(key.key);
  if (!record) return std::nullopt;
  // A record may outlive its layer: pruned, damaged, or not synced when the power went.
  if (record->layer && !fetcher_.available(record->layer->diff_id)) return std::nullopt;
  return on_top(below, record->layer, record->created);
}

std::optional<StepResult> StepRunner::probe(const plan::BuildPlan& plan, const plan::Step& step,
                                            const std::vector<StepResult>& inputs) {
  if (std::holds_alternative<plan::Scratch>(step.operation)) return StepResult{};
  if (const auto* image = std::get_if<plan::FromImage>(&step.operation)) {
    StepResult result;
    result.stack = image->diff_ids;
    result.chain = base::chain_id(result.stack);
    return result;
  }
  const StepResult& below = inputs[static_cast<std::size_t>(*step.parent)];
  Pending& pending = pending_for(plan, step);
  try {
    if (const auto* run = std::get_if<plan::Run>(&step.operation)) {
      std::vector<std::string> sources;
      for (const plan::Mount& mount : run->mounts)
        sources.push_back(
            mount.from ? inputs[static_cast<std::size_t>(*mount.from)].chain.digest.str() : "");
      pending.key = run_key(*run, below.chain, sources, request_);
    } else if (const auto* copy = std::get_if<plan::Copy>(&step.operation)) {
      probe_copy(*copy, below, inputs, pending);
    } else if (const auto* file = std::get_if<plan::FetchFile>(&step.operation)) {
      probe_fetch(*file, below, pending);
    } else if (const auto* repository = std::get_if<plan::FetchGit>(&step.operation)) {
      probe_fetch(*repository, below, pending);
    } else {
      pending.key =
          directory_key(std::get<plan::MakeDirectory>(step.operation), below.chain, request_);
    }
  } catch (Error& error) {
    error.set_location(step.where);
    throw;
  }
  if (!pending.key_is_enough) return std::nullopt;
  std::optional<StepResult> result = find(pending, pending.key, below);
  if (result) ShownTask(machine_.progress, task_of(plan, step)).set(Outcome::cached);
  return result;
}

template <typename Fetch>
void StepRunner::probe_fetch(const Fetch& fetch, const StepResult& below, Pending& pending) {
  const std::optional<std::string> pinned = pinned_identity(fetch);
  pending.key_is_enough = pinned.has_value();
  pending.key =
      fetch_key(fetch.path, pinned.value_or("unknown, of " + fetch.url), below.chain, request_);
}

StepResult StepRunner::execute(const plan::BuildPlan& plan, const plan::Step& step,
                               const std::vector<StepResult>& inputs,
                               const BlobStarter& start_blob) {
  const StepResult& below = inputs[static_cast<std::size_t>(*step.parent)];
  Pending& pending = pending_for(plan, step);
  pending.start_blob = start_blob;
  ShownTask task(machine_.progress, task_of(plan, step));
  pending.task = task.id();
  try {
    bool waited = false;
    const cache::KeyLock lock = machine_.cache.lock(pending.key.key, stop_, [&] {
      waited = true;
      machine_.progress.note(task.id(), "waiting for the same step of another build");
    });
    // Who made the same meanwhile left a record to compare with.
    if (waited && pending.learns_key && !misses_certainly(pending))
      find_key(std::get<plan::Copy>(step.operation), below, pending);
    if (waited && !pending.learns_key) {
      if (auto result = find(pending, pending.key, below)) {
        task.set(Outcome::cached);
        return *std::move(result);
      }
    }
    read_sources(step, below, inputs, pending);
    if (pending.content_key) {
      if (auto result = find(pending, *pending.content_key, below)) {
        machine_.cache.store(pending.key.key, {.layer = result->layer,
                                               .fields = pending.key.fields,
                                               .slot = pending.slot,
                                               .title = step.title,
                                               .created = result->created});
        task.set(Outcome::cached);
        return *std::move(result);
      }
    }
    if (pending.may_reuse || request_.explain_cache)
      pending.previous = machine_.cache.find_latest(pending.slot);
    const bool explains_late = pending.learns_key;
    if (request_.explain_cache && !explains_late)
      machine_.progress.note(task.id(), explanation(pending));

    const auto started = std::chrono::steady_clock::now();
    std::optional<oci::Layer> layer;
    if (const auto* run_step = std::get_if<plan::Run>(&step.operation)) {
      layer = run(*run_step, below, pending);
    } else if (const auto* copy_step = std::get_if<plan::Copy>(&step.operation)) {
      layer = copy(*copy_step, below, pending);
      if (pending.found) {
        task.set(Outcome::cached);
        return *std::move(pending.found);
      }
      if (request_.explain_cache && explains_late)
        machine_.progress.note(task.id(), explanation(pending));
    } else if (pending.fetched) {
      layer = fetched(below, pending);
    } else {
      layer = make_directory(std::get<plan::MakeDirectory>(step.operation), below, pending);
    }
    cache::CacheRecord record;
    record.layer = layer;
    record.slot = pending.slot;
    record.title = step.title;
    record.created = pending.took_previous ? pending.previous->created : Clock::now();
    record.duration = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - started);
    if (pending.content_key) {
      record.fields = pending.content_key->fields;
      record.files = manifest_of(pending);
      machine_.cache.store(pending.content_key->key, record);
      record.files.reset();
    }
    record.fields = pending.key.fields;
    if (!pending.content_key) record.files = manifest_of(pending);
    record.operation = pending.operation;
    machine_.cache.store(pending.key.key, record);
    pending.source_mount.reset();
    pending.mount_sources.clear();
    pending.fetched.reset();
    task.set(Outcome::done);
    StepResult result = on_top(below, layer, record.created);
    result.emulated = pending.emulated;
    return result;
  } catch (Error& error) {
    task.set(error);
    error.set_location(step.where);
    throw;
  }
}

std::optional<cache::FileManifest> StepRunner::manifest_of(const Pending& pending) {
  if (!pending.manifest) return std::nullopt;
  return pending.manifest();
}

std::string StepRunner::explanation(const Pending& pending) const {
  if (!pending.previous) return "not in the cache: this step has not been built here before";
  const cache::KeyStory before{pending.previous->fields,
                               pending.previous->files ? &*pending.previous->files : nullptr};
  const std::optional<cache::FileManifest> files =
      pending.content_key ? std::nullopt : manifest_of(pending);
  const cache::KeyStory now{pending.key.fields, files ? &*files : nullptr};
  const std::string why = cache::explain_miss(before, now);
  return "not in the cache: " + (why.empty() ? "its result is gone" : why);
}

/// Looks at the file systems of other steps that this one takes files from. What counts is what it
/// can see of them, so that there is a second key, by content.
void StepRunner::read_sources(const plan::Step& step, const StepResult& below,
                              const std::vector<StepResult>& inputs, Pending& pending) {
  if (const auto* copy = std::get_if<plan::Copy>(&step.operation); copy != nullptr && copy->from)
    select_from_stage(*copy, below, inputs, pending);
  if (const auto* run = std::get_if<plan::Run>(&step.operation))
    read_mounts(*run, below, inputs, pending);
  if (const auto* file = std::get_if<plan::FetchFile>(&step.operation))
    read_remote(*file, below, pending);
  if (const auto* repository = std::get_if<plan::FetchGit>(&step.operation))
    read_remote(*repository, below, pending);
}

template <typename Fetch>
void StepRunner::read_remote(const Fetch& fetch, const StepResult& below, Pending& pending) {
  pending.fetched = std::make_unique<FetchedSource>(fetch, input_, stop_);
  pending.content_key = fetch_key(fetch.path, pending.fetched->identity(), below.chain, request_);
}

// ---- RUN ----------------------------------------------------------------------------------------

void StepRunner::read_mounts(const plan::Run& run, const StepResult& below,
                             const std::vector<StepResult>& inputs, Pending& pending) {
  pending.mount_sources = open_mount_sources(
      run, machine_, fetcher_, [&](plan::StepId id) -> const std::vector<base::DiffId>& {
        return inputs[static_cast<std::size_t>(id)].stack;
      });
  std::vector<std::string> contents;
  bool any = false;
  for (std::size_t i = 0; i < run.mounts.size(); ++i) {
    const std::optional<MountSource>& source = pending.mount_sources[i];
    contents.push_back(source ? source->content : "");
    any = any || source;
  }
  if (any) pending.content_key = run_key(run, below.chain, contents, request_);
}

std::optional<oci::Layer> StepRunner::run(const plan::Run& run, const StepResult& below,
                                          Pending& pending) {
  fetcher_.ensure_trees(below.stack);
  layers::RootTree root =
      layers::RootTree::for_command(machine_.store, machine_.layers, below.stack, mount_points());
  const auto started = std::chrono::steady_clock::now();
  {
    const base::TraceSpan span("run");
    run_command(run, root, pending.mount_sources,
                {request_, machine_, secrets_, devices_, pending.task, stop_});
  }
  if (!sandbox::runs_natively(run.architecture))
    pending.emulated =
        std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
  return seal_upper(std::move(root), pending);
}

/// A directory with the mount points of every step, below all layers: no step needs to make them.
const std::filesystem::path& StepRunner::mount_points() {
  std::call_once(mount_points_made_, [this] { mount_points_ = mount_point_layer(machine_.store); });
  return mount_points_;
}

std::optional<oci::Layer> StepRunner::seal_upper(layers::RootTree&& root, Pending& pending) {
  const base::TraceSpan span("seal");
  base::TempDirectory work;  // outlives the mount
  layers::RootTree done = std::move(root);
  work = done.take_upper();
  const std::filesystem::path tree = work.path() / "tree";
  const base::FileDescriptor opened(::open(tree.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::optional<oci::Layer> layer;
  if (base::list_directory(opened.get(), tree.string()).empty()) {
    // The step changed nothing.
  } else if (take_previous(opened, pending, done.below())) {
    layer = pending.previous->layer;
  } else {
    const std::unique_ptr<LayerBlobBuilder> blob = pending.blob();
    layer = machine_.layers.adopt(
        std::move(work),
        {.clamp_mtime = request_.source_date_epoch, .below = done.below(), .also = blob.get()});
    if (blob) blob->commit(layer->diff_id);
  }
  done.settle(layer ? std::optional(layer->diff_id) : std::nullopt);
  return layer;
}

/// Whether the new tree is what the step gave last time but for times: then that is its result.
bool StepRunner::take_previous(const base::FileDescriptor& tree, Pending& pending,
                               std::optional<std::span<const std::filesystem::path>> below) const {
  if (!pending.may_reuse || !pending.previous || !pending.previous->layer) return false;
  const base::DiffId& previous = pending.previous->layer->diff_id;
  if (!machine_.layers.has_tree(previous)) return false;
  const base::FileDescriptor before = machine_.layers.open_tree(previous);
  pending.took_previous =
      layers::trees_equal(before.get(), tree.get(), machine_.store.xattr_namespace(), below);
  return pending.took_previous;
}

void StepRunner::save_memo() {
  const std::lock_guard lock(memo_mutex_);
  for (const auto& [context, memo] : memos_) memo->save();
}

}  // namespace strake::builder
