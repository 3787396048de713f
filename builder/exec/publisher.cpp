#include "builder/exec/publisher.h"

#include <algorithm>

#include "layers/base/error.h"
#include "layers/base/trace.h"
#include "layers/base/worker_pool.h"
#include "layers/layer_store.h"
#include "registry/client.h"

namespace strake::builder {
namespace {

/// Layers that are compressed at the same time. Each is compressed by all processors, and read by
/// one thread: with two, there is always something to compress.
constexpr std::size_t kWorkers = 2;

std::vector<base::Digest> digests_of(const oci::Manifest& manifest) {
  std::vector<base::Digest> digests{manifest.config.digest};
  for (const oci::Descriptor& layer : manifest.layers) digests.push_back(layer.digest);
  return digests;
}

}  // namespace

Publisher::Publisher(PushTargets targets, const BlobOptions& options, Machine& machine,
                     LayerFetcher& fetcher, std::stop_token stop)
    : targets_(std::move(targets)),
      options_(options),
      machine_(machine),
      fetcher_(fetcher),
      stop_(std::move(stop)) {
  std::string names;
  for (const auto& [repository, tags] : targets_)
    names += (names.empty() ? "" : ", ") + repository.str();
  task_ = machine_.progress.start({"", "", "push " + names});
  registry::TransferOptions transfer;
  transfer.stop = stop_;
  transfer.progress = [this](const registry::TransferProgress& progress) {
    const bool done = progress.state != registry::TransferState::uploading;
    machine_.progress.bytes(task_, progress.blob.digest.str().substr(0, 19),
                            done ? progress.blob.size : progress.bytes_done, progress.blob.size);
  };
  for (const auto& [repository, tags] : targets_)
    registries_[repository.host].push_back(
        std::make_unique<registry::BlobUploader>(machine_.registry, repository, transfer));
}

Publisher::~Publisher() {
  permission_check_ = {};
  for (std::jthread& worker : workers_) worker.request_stop();
  workers_.clear();
  const bool failed = error_ != nullptr || std::uncaught_exceptions() > 0;
  machine_.progress.finish(task_, stop_.stop_requested() ? Outcome::cancelled
                                  : failed               ? Outcome::failed
                                                         : Outcome::done);
}

void Publisher::check_permissions(std::stop_token stop) {
  std::call_once(permissions_checked_, [&] {
    for (const auto& [host, repositories] : registries_)
      for (const auto& uploader : repositories) {
        try {
          uploader->check_permission(stop);
        } catch (base::Error& error) {
          error.add_context("checking that " + base::quoted(uploader->repository().str()) +
                            " may be pushed to");
          throw;
        }
      }
  });
}

void Publisher::check_permissions_meanwhile(std::function<void()> refused) {
  const std::lock_guard lock(mutex_);
  if (permission_check_.joinable()) return;
  start();
  permission_check_ = std::jthread([this, refused = std::move(refused)](std::stop_token end) {
    std::stop_source stop;
    const std::stop_callback ends(end, [&] { stop.request_stop(); });
    const std::stop_callback stops(stop_, [&] { stop.request_stop(); });
    base::name_trace_thread("permissions");
    const base::TraceSpan span("check permissions");
    try {
      check_permissions(stop.get_token());
    } catch (...) {  // the edge of a thread: rethrow_refusal() throws it
      if (stop.stop_requested()) return;
      {
        const std::lock_guard refusal_lock(mutex_);
        refusal_ = std::current_exception();
      }
      refused();
    }
  });
}

void Publisher::rethrow_refusal() {
  const std::lock_guard lock(mutex_);
  if (refusal_ != nullptr) std::rethrow_exception(refusal_);
}

std::unique_ptr<LayerBlobBuilder> Publisher::start_blob() {
  auto blob = std::make_unique<LayerBlobBuilder>(options_, machine_);
  stream(*blob);
  return blob;
}

/// Uploads what there is of the blob already.
void Publisher::stream(LayerBlobBuilder& blob) {
  for (const auto& [host, repositories] : registries_) repositories.front()->stream(blob.growing());
}

void Publisher::add(const base::DiffId& layer) {
  const std::lock_guard lock(mutex_);
  if (std::find(seen_.begin(), seen_.end(), layer) != seen_.end()) return;
  seen_.push_back(layer);
  queue_.push_back(layer);
  changed_.notify_all();
}

/// Lets the layers out that were added so far. The mutex is held.
void Publisher::start() {
  if (!workers_.empty()) return;
  base::WorkerPool::shared().start();
  while (workers_.size() < kWorkers)
    workers_.emplace_back([this](std::stop_token stop) { work(std::move(stop)); });
}

void Publisher::work(std::stop_token stop) {
  base::name_trace_thread("publisher");
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !queue_.empty(); })) {
    const base::DiffId layer = queue_.front();
    queue_.pop_front();
    if (error_ != nullptr) continue;
    ++busy_;
    lock.unlock();
    std::exception_ptr error;
    try {
      publish(layer);
    } catch (...) {  // the edge of a thread: finish() throws it again
      error = std::current_exception();
    }
    lock.lock();
    --busy_;
    if (error_ == nullptr) error_ = error;
    changed_.notify_all();
  }
}

void Publisher::publish(const base::DiffId& layer) {
  const base::TraceSpan span("publish layer", layer.digest.str());
  const oci::Descriptor blob =
      layer_blob(layer, options_, machine_, [this](LayerBlobBuilder& builder) { stream(builder); });
  for (const auto& [host, repositories] : registries_)
    repositories.front()->enqueue(upload_of(layer, blob, machine_, fetcher_));
}

void Publisher::wait_until_idle() {
  std::unique_lock lock(mutex_);
  if (!queue_.empty()) start();
  changed_.wait(lock, [this] { return error_ != nullptr || (queue_.empty() && busy_ == 0); });
  if (error_ != nullptr) std::rethrow_exception(error_);
}

void Publisher::finish(std::span<const AssembledImage> images, const ImageDocuments& documents) {
  wait_until_idle();
  std::vector<std::exception_ptr> errors(registries_.size());
  {
    std::vector<std::jthread> threads;
    auto error = errors.begin();
    for (const auto& [host, registry] : registries_)
      threads.emplace_back([&, registry = &registry, error = error++] {
        base::name_trace_thread("push");
        try {
          finish(*registry, images, documents);
        } catch (...) {  // the edge of a thread: thrown again below
          *error = std::current_exception();
        }
      });
  }
  // It has an upload open.
  if (permission_check_.joinable()) permission_check_.join();
  for (const std::exception_ptr& error : errors)
    if (error != nullptr) std::rethrow_exception(error);
}

void Publisher::finish(const Registry& registry, std::span<const AssembledImage> images,
                       const ImageDocuments& documents) {
  std::vector<oci::Repository> earlier;
  for (const auto& uploader : registry) {
    try {
      const base::TraceSpan span("push", uploader->repository().str());
      push(*uploader, earlier, images, documents);
    } catch (base::Error& error) {
      error.add_context("pushing to " + uploader->repository().str());
      throw;
    }
    earlier.push_back(uploader->repository());
  }
}

/// `earlier`: repositories of the same registry that have the whole image by now.
void Publisher::push(registry::BlobUploader& uploader, const std::vector<oci::Repository>& earlier,
                     std::span<const AssembledImage> images, const ImageDocuments& documents) {
  std::vector<registry::BlobUpload> blobs;
  std::vector<registry::DocumentPush> children;
  for (std::size_t i = 0; i < images.size(); ++i) {
    for (std::size_t j = 0; j < images[i].layers.size(); ++j) {
      blobs.push_back(
          upload_of(images[i].layers[j].diff_id, documents.layers[i][j], machine_, fetcher_));
      auto& sources = blobs.back().mount_from;
      sources.insert(sources.begin(), earlier.begin(), earlier.end());
    }
    const auto open_config = [json = images[i].config_json](std::uint64_t offset) {
      return std::make_unique<base::StringSource>(json, offset);
    };
    blobs.push_back({images[i].config_blob,
                     open_config,
                     earlier,
                     {},
                     machine_.blobs.wrote(images[i].config_blob.digest)});
    const auto& manifest = documents.manifests[i];
    if (documents.index)
      children.push_back({manifest.descriptor, manifest.bytes, digests_of(manifest.value)});
  }
  const registry::DocumentPush root{documents.root(), documents.index
                                                          ? documents.index->bytes
                                                          : documents.manifests.front().bytes};
  const oci::Repository& repository = uploader.repository();
  registry::push_image(machine_.registry, uploader, std::move(blobs), children, root,
                       targets_.at(repository), stop_);
  for (std::size_t i = 0; i < images.size(); ++i)
    for (std::size_t j = 0; j < images[i].layers.size(); ++j)
      machine_.layers.add_blob(images[i].layers[j].diff_id, documents.layers[i][j], &repository);
}

}  // namespace strake::builder
