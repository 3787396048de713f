#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "builder/exec/build.h"
#include "builder/exec/build_input.h"
#include "builder/exec/layer_blobs.h"
#include "builder/exec/layer_draft.h"
#include "builder/exec/layer_fetcher.h"
#include "builder/exec/run_devices.h"
#include "builder/exec/secrets.h"
#include "builder/exec/shared_drafts.h"
#include "builder/exec/step_keys.h"
#include "builder/plan/build_plan.h"
#include "cache/stat_memo.h"
#include "layers/snapshot/root_tree.h"

namespace strake::builder {

/// What a step gave.
struct StepResult {
  std::vector<base::DiffId> stack;                     // the whole file system, bottom layer first
  base::ChainId chain;                                 // of `stack`
  std::optional<oci::Layer> layer;                     // the step's own; none: it changed nothing
  std::chrono::system_clock::time_point created = {};  // of the layer; the record's if cached
  std::chrono::milliseconds emulated{};  // how long its command was run now by an emulator
};

/// Takes steps one at a time from plan to result: looks in the cache, else executes, seals and
/// records. One object a build; members may be called from several threads for different steps.
class StepRunner {
 public:
  StepRunner(const BuildRequest& request, Machine& machine, BuildInput& input, Secrets& secrets,
             const DeviceTable& devices, std::stop_token stop);
  ~StepRunner();

  /// The result if it can be had without executing anything: from the cache, or because the step
  /// is a base. `inputs` are the results of the plan's steps so far.
  std::optional<StepResult> probe(const plan::BuildPlan& plan, const plan::Step& step,
                                  const std::vector<StepResult>& inputs);

  /// The result by executing the step, unless another process (or platform) that had the same key
  /// did so meanwhile. After probe() said nothing. A layer that is made gets a blob in the same
  /// pass if `start_blob` is given. Throws Error with the instruction's lines.
  StepResult execute(const plan::BuildPlan& plan, const plan::Step& step,
                     const std::vector<StepResult>& inputs, const BlobStarter& start_blob = {});

  LayerFetcher& fetcher() noexcept { return fetcher_; }

  /// Writes what was learned about the context's files. Call after the last step.
  void save_memo();

 private:
  struct Pending;

  std::optional<StepResult> find(const Pending& pending, const StepKey& key,
                                 const StepResult& below);
  Pending& pending_for(const plan::BuildPlan& plan, const plan::Step& step);
  void probe_copy(const plan::Copy& copy, const StepResult& below,
                  const std::vector<StepResult>& inputs, Pending& pending);
  void read_sources(const plan::Step& step, const StepResult& below,
                    const std::vector<StepResult>& inputs, Pending& pending);
  void select_from_stage(const plan::Copy& copy, const StepResult& below,
                         const std::vector<StepResult>& inputs, Pending& pending);
  void read_mounts(const plan::Run& run, const StepResult& below,
                   const std::vector<StepResult>& inputs, Pending& pending);
  template <typename Fetch>
  void probe_fetch(const Fetch& fetch, const StepResult& below, Pending& pending);
  template <typename Fetch>
  void read_remote(const Fetch& fetch, const StepResult& below, Pending& pending);
  std::optional<oci::Layer> fetched(const StepResult& below, Pending& pending);
  std::optional<oci::Layer> run(const plan::Run& run, const StepResult& below, Pending& pending);
  std::optional<oci::Layer> copy(const plan::Copy& copy, const StepResult& below, Pending& pending);
  std::optional<oci::Layer> make_directory(const plan::MakeDirectory& directory,
                                           const StepResult& below, Pending& pending);
  std::optional<oci::Layer> seal_upper(layers::RootTree&& root, Pending& pending);
  bool take_previous(
      const base::FileDescriptor& tree, Pending& pending,
      std::optional<std::span<const std::filesystem::path>> below = std::nullopt) const;
  std::optional<oci::Layer> seal_draft(const LayerDraft& draft, Pending& pending,
                                       LearnedDigests* learned = nullptr,
                                       const std::function<bool()>& is_known = {});
  bool reads_tree(const plan::BuildPlan& plan, const plan::Step& step) const;
  bool misses_certainly(const Pending& pending);
  void find_key(const plan::Copy& copy, const StepResult& below, Pending& pending);
  cache::CacheKey lock_of(const plan::Copy& copy, const Pending& pending) const;
  static std::optional<cache::FileManifest> manifest_of(const Pending& pending);
  const std::filesystem::path& mount_points();
  cache::StatMemo& memo_of(const std::string& context);
  CopySource context_source(const std::string& context) const;
  std::string explanation(const Pending& pending) const;

  const BuildRequest& request_;
  Machine& machine_;
  BuildInput& input_;
  std::stop_token stop_;
  LayerFetcher fetcher_;
  Secrets& secrets_;
  const DeviceTable& devices_;
  std::once_flag mount_points_made_;
  std::filesystem::path mount_points_;
  std::mutex memo_mutex_;
  std::map<std::string, std::unique_ptr<cache::StatMemo>> memos_;  // of contexts, by name
  SharedDrafts drafts_;
  std::mutex mutex_;  // guards what follows
  std::map<const plan::Step*, std::unique_ptr<Pending>> pending_;
};

}  // namespace strake::builder
