#include "builder/exec/build.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "builder/exec/assemble.h"
#include "builder/exec/base_images.h"
#include "builder/exec/build_checks.h"
#include "builder/exec/build_input.h"
#include "builder/exec/emulated_stages.h"
#include "builder/exec/publisher.h"
#include "builder/exec/run_devices.h"
#include "builder/exec/scheduler.h"
#include "builder/exec/shown_task.h"
#include "builder/exec/step_runner.h"
#include "builder/output/outputs.h"
#include "builder/plan/planner.h"
#include "builder/sandbox/emulation.h"
#include "builder/sandbox/sandbox.h"
#include "layers/base/error.h"
#include "layers/base/trace.h"
#include "layers/base/worker_pool.h"
#include "layers/layer_store.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

/// Steps often wait for something else than a processor: a download, a lock, another step.
constexpr std::size_t kLeastJobs = 4;

class Build {
 public:
  Build(const BuildRequest& request, Machine& machine, std::stop_token stop)
      : request_(request),
        machine_(machine),
        secrets_(request.secrets),
        forward_(std::move(stop), [this] { stop_.request_stop(); }) {}

  BuildOutcome run() {
    {
      const base::TraceSpan span("plan");
      read_input();
      make_plans();
    }
    const DeviceTable devices(plans_, request_.steps.cdi_directories, request_.allow.devices);
    if (request_.dry_run) return dry_run();
    check_runnable();
    StepRunner runner(request_, machine_, *input_, secrets_, devices, stop_.get_token());
    start_publishing(runner.fetcher());
    try {
      return make(runner);
    } catch (const Error& error) {
      const std::unique_ptr<Publisher> publisher = std::move(publisher_);  // ends before `runner`
      // What the build was stopped for says more than that it was.
      if (publisher && error.code() == ErrorCode::cancelled) publisher->rethrow_refusal();
      throw;
    }
  }

 private:
  BuildOutcome make(StepRunner& runner) {
    execute(runner);
    for (std::size_t i = 0; i < plans_.size(); ++i)
      images_.push_back(assemble(plans_[i], results_[i], request_.source_date_epoch, machine_));
    BuildOutcome outcome = write_outputs(runner.fetcher());
    outcome.emulated = emulated();
    runner.save_memo();
    return outcome;
  }

  // ---- Text and plan ----

  void read_input() {
    input_.emplace(request_, machine_, secrets_, stop_.get_token());
    if (!request_.epoch_of_context) return;
    if (!input_->commit_time())
      throw Error(ErrorCode::invalid_input,
                  "SOURCE_DATE_EPOCH=context, but the build context is no git repository")
          .hint("give it as seconds since 1970");
    request_.source_date_epoch = input_->commit_time();
    request_.build_args["SOURCE_DATE_EPOCH"] = std::to_string(*input_->commit_time());
  }

  std::string build_arg(const std::string& name) const {
    const auto found = request_.build_args.find(name);
    return found == request_.build_args.end() ? "" : found->second;
  }

  void make_plans() {
    std::vector<oci::Platform> platforms = request_.platforms;
    const bool given = !platforms.empty();
    if (!given) platforms.push_back(oci::host_platform());
    for (const oci::Platform& platform : platforms) {
      plan::PlanOptions options;
      options.build_platform = oci::host_platform();
      options.target_platform = platform;
      options.platform_given = given;
      options.target = request_.target;
      options.build_args = request_.build_args;
      options.labels = request_.labels;
      options.contexts = input_->named_contexts();
      options.network = request_.steps.network != sandbox::Network::none;
      options.allow_host_network =
          request_.steps.network == sandbox::Network::host || request_.allow.host_network;
      options.allow_insecure = request_.allow.insecure;
      options.cache_mount_namespace = build_arg("BUILDKIT_CACHE_MOUNT_NS");
      options.hostname = build_arg("BUILDKIT_SANDBOX_HOSTNAME");
      options_.push_back(std::move(options));
    }
    // What a base brings (ONBUILD) may need further bases: until there is nothing new.
    plan::ResolvedImages images;
    while (true) {
      graphs_.clear();
      std::map<plan::ImageRequest, base::SourceRange> missing;
      for (const plan::PlanOptions& options : options_) {
        graphs_.push_back(plan::make_graph(input_->file(), options, images));
        for (const auto& [image, where] : graphs_.back().required_images()) {
          if (images.contains(image)) continue;
          if (auto found = input_->find_layout_image(image))
            images.emplace(image, std::move(*found));
          else
            missing.emplace(image, where);
        }
      }
      if (missing.empty()) break;
      check_platforms();
      images.merge(resolve_images(missing, request_.pull, machine_, stop_.get_token()));
    }
    report_build_checks(input_->file(), graphs_.front(), options_.front(), images);
    for (std::size_t i = 0; i < graphs_.size(); ++i)
      plans_.push_back(plan::make_plan(graphs_[i], options_[i], images));
    give_devices();
  }

  /// What --device and --gpus name goes to every RUN, as if each had asked for it itself.
  void give_devices() {
    for (const std::string& name : request_.steps.cdi_devices) {
      request_.allow.devices.devices.push_back({.name = name});
      for (plan::BuildPlan& plan : plans_)
        for (plan::Step& step : plan.steps)
          if (auto* run = std::get_if<plan::Run>(&step.operation))
            run->devices.push_back({.name = name, .required = true});
    }
  }

  /// An image for a machine that nothing here can stand in for is not worth pulling, if a RUN needs
  /// it. Stages without RUN build anywhere.
  void check_platforms() const {
    for (const plan::StageGraph& graph : graphs_)
      for (const plan::Stage& stage : graph.stages) {
        if (!stage.needed) continue;
        for (const dockerfile::Instruction& instruction : stage.instructions)
          if (std::holds_alternative<dockerfile::Run>(instruction.operation))
            check_platform(stage.platform, instruction.where);
      }
  }

  /// Again when the images are known: one may be for another platform than was asked for.
  void check_runnable() const {
    for (std::size_t i = 0; i < plans_.size(); ++i)
      for (const plan::Step& step : plans_[i].steps)
        if (const auto* run = std::get_if<plan::Run>(&step.operation))
          check_platform(platform_of(graphs_[i], step, *run), step.where);
  }

  void check_platform(const oci::Platform& platform, const base::SourceRange& where) const {
    if (platform.architecture == oci::host_platform().architecture) return;
    try {
      machine_.sandbox.check_runnable(platform.architecture);
    } catch (Error& error) {
      error.set_location(where);
      error.add_note("platform: " + platform.str());
      throw;
    }
  }

  BuildOutcome dry_run() const {
    BuildOutcome outcome;
    for (const plan::BuildPlan& plan : plans_) outcome.plan += plan::to_text(plan);
    return outcome;
  }

  // ---- Steps ----

  void execute(StepRunner& runner) {
    std::vector<std::pair<std::size_t, std::size_t>> items;  // plan and step
    std::vector<std::vector<std::size_t>> inputs;
    for (std::size_t p = 0; p < plans_.size(); ++p) {
      const std::size_t first = items.size();
      results_.emplace_back(plans_[p].steps.size());
      for (const plan::Step& step : plans_[p].steps) {
        items.emplace_back(p, static_cast<std::size_t>(step.id));
        std::vector<std::size_t>& needs = inputs.emplace_back();
        for (const plan::StepId input : plan::inputs_of(step))
          needs.push_back(first + static_cast<std::size_t>(input));
      }
    }
    mark_published();
    const auto finish = [&](std::size_t item, StepResult result) {
      const auto [p, s] = items[item];
      if (publisher_ && published_[p][s] && result.layer) publisher_->add(result.layer->diff_id);
      results_[p][s] = std::move(result);
    };
    bool some_missed = false;
    const auto probe = [&](std::size_t item) {
      const auto [p, s] = items[item];
      const base::TraceSpan span("probe", plans_[p].steps[s].title);
      auto result = runner.probe(plans_[p], plans_[p].steps[s], results_[p]);
      if (!result) {
        some_missed = true;
        return false;
      }
      finish(item, std::move(*result));
      return true;
    };
    const auto run_item = [&](std::size_t item) {
      const auto [p, s] = items[item];
      const base::TraceSpan span("step", plans_[p].steps[s].title);
      if (publisher_) start_pushing(p, plans_[p].steps[s]);
      const BlobStarter start_blob = published_[p][s] ? blob_starter() : nullptr;
      finish(item, runner.execute(plans_[p], plans_[p].steps[s], results_[p], start_blob));
    };
    const std::size_t jobs =
        request_.jobs > 0 ? request_.jobs : std::max(base::usable_processors(), kLeastJobs);
    // What costs no more than the question need not wait for its answer.
    const auto ask = [&](SchedulerNext next) {
      if (!publisher_ || !std::exchange(some_missed, false)) return;
      publisher_->check_permissions_meanwhile([this] { stop_.request_stop(); });
      // A thread that runs already, and that could start no step meanwhile, does it soonest.
      if (next == SchedulerNext::waits) machine_.registry.prepare();
    };
    run_schedule(inputs, jobs, probe, run_item, stop_, ask);
  }

  /// Before `step`, which is not cached: who waits for a command waits in vain if the result may
  /// not be pushed.
  void start_pushing(std::size_t p, const plan::Step& step) {
    if (published_[p][static_cast<std::size_t>(step.id)]) publish_below(p, step);
    if (std::holds_alternative<plan::Run>(step.operation)) publisher_->check_permissions();
  }

  /// The layers that a step builds on are part of the image: those of its base are not waited with
  /// either.
  void publish_below(std::size_t p, const plan::Step& step) {
    if (!step.parent) return;
    for (const base::DiffId& layer : results_[p][static_cast<std::size_t>(*step.parent)].stack)
      publisher_->add(layer);
  }

  /// How the blob of a layer of the image is made while the layer is; nothing if no output has it.
  BlobStarter blob_starter() {
    if (publisher_) return [this] { return publisher_->start_blob(); };
    const bool archived = std::ranges::any_of(
        outputs(), [](const OutputSpec& output) { return output.kind == OutputSpec::Kind::oci; });
    if (!archived) return nullptr;
    return [this] { return std::make_unique<LayerBlobBuilder>(blob_options(), machine_); };
  }

  /// The steps whose layers end up in the image.
  void mark_published() {
    for (const plan::BuildPlan& plan : plans_) {
      std::vector<bool>& marks = published_.emplace_back(plan.steps.size());
      for (auto step = plan.result; step; step = plan.step(*step).parent)
        marks[static_cast<std::size_t>(*step)] = true;
    }
  }

  std::vector<EmulatedStage> emulated() const {
    const auto emulator = [](const std::string& architecture) {
      return sandbox::find_emulation(architecture).emulator();
    };
    std::vector<EmulatedStage> all;
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      const auto stages = emulated_stages(graphs_[i], plans_[i], results_[i], emulator);
      all.insert(all.end(), stages.begin(), stages.end());
    }
    return all;
  }

  // ---- Outputs ----

  BlobOptions blob_options() const { return {request_.compression, request_.compression_level}; }

  const std::vector<oci::Reference>& names_of(const OutputSpec& output) const {
    return output.names.empty() ? request_.tags : output.names;
  }

  std::vector<OutputSpec> outputs() const {
    if (!request_.outputs.empty()) return request_.outputs;
    return {OutputSpec{}};
  }

  PushTargets push_targets() const {
    PushTargets targets;
    for (const OutputSpec& output : outputs()) {
      if (output.kind != OutputSpec::Kind::registry) continue;
      if (names_of(output).empty())
        throw Error(ErrorCode::invalid_input, "there is no name to push the image to")
            .hint("give it one with --tag");
      for (const oci::Reference& name : names_of(output)) {
        std::vector<std::string>& tags = targets[name.repository];
        const bool tagged = !output.push_by_digest && name.tag;
        if (tagged && std::find(tags.begin(), tags.end(), *name.tag) == tags.end())
          tags.push_back(*name.tag);
      }
    }
    return targets;
  }

  void start_publishing(LayerFetcher& fetcher) {
    PushTargets targets = push_targets();
    if (targets.empty()) return;
    publisher_ = std::make_unique<Publisher>(std::move(targets), blob_options(), machine_, fetcher,
                                             stop_.get_token());
  }

  BuildOutcome write_outputs(LayerFetcher& fetcher) {
    const base::TraceSpan span("write outputs");
    BuildOutcome outcome;
    std::optional<ImageDocuments> documents;
    const auto need_documents = [&]() -> const ImageDocuments& {
      if (!documents)
        documents = make_documents(images_, blob_options(), request_.annotations,
                                   request_.always_index, machine_);
      return *documents;
    };
    for (const OutputSpec& output : outputs()) {
      switch (output.kind) {
        case OutputSpec::Kind::image:
          // A manifest that is made later, to push it, would not have the annotations.
          if (!request_.annotations.empty()) need_documents();
          store_image(images_, documents ? &*documents : nullptr, names_of(output), machine_);
          break;
        case OutputSpec::Kind::registry:
          // What cannot be pushed now is here to be pushed later.
          store_image(images_, &need_documents(), names_of(output), machine_);
          for (const oci::Reference& name : names_of(output)) outcome.pushed.push_back(name.str());
          break;
        case OutputSpec::Kind::oci:
        case OutputSpec::Kind::docker: {
          ShownTask task(machine_.progress, writing(output));
          write_layout(output, images_, names_of(output),
                       output.kind == OutputSpec::Kind::oci ? &need_documents() : nullptr, machine_,
                       fetcher);
          task.set(Outcome::done);
          break;
        }
        case OutputSpec::Kind::tar:
        case OutputSpec::Kind::local: {
          ShownTask task(machine_.progress, writing(output));
          write_rootfs(output, images_, machine_, fetcher);
          task.set(Outcome::done);
          break;
        }
      }
    }
    // Last: a name in a registry is a promise that all of the build went well.
    if (publisher_) publisher_->finish(images_, need_documents());
    publisher_.reset();
    for (std::size_t i = 0; i < images_.size(); ++i) {
      BuiltImage built{images_[i].config.platform, images_[i].config_blob.digest, {}};
      if (documents) built.manifest = documents->manifests[i].descriptor;
      outcome.images.push_back(std::move(built));
    }
    if (documents) outcome.root = documents->root();
    return outcome;
  }

  static TaskInfo writing(const OutputSpec& output) {
    return {"", "", "write " + (output.dest == "-" ? "stdout" : output.dest)};
  }

  BuildRequest request_;
  Machine& machine_;
  Secrets secrets_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_;  // the user's Ctrl-C to our own stop source
  std::optional<BuildInput> input_;
  std::vector<plan::PlanOptions> options_;  // one a platform, as are the vectors below
  std::vector<plan::StageGraph> graphs_;
  std::vector<plan::BuildPlan> plans_;
  std::vector<std::vector<StepResult>> results_;
  std::vector<std::vector<bool>> published_;
  std::vector<AssembledImage> images_;
  std::unique_ptr<Publisher> publisher_;
};

}  // namespace

BuildOutcome build(const BuildRequest& request, Machine& machine, std::stop_token stop) {
  return Build(request, machine, std::move(stop)).run();
}

}  // namespace strake::builder
