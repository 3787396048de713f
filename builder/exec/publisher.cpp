#include "builder/exec/publisher.h"

#include <algorithm>

#include "layers/base/error.h"
#include "layers/layer_store.h"
#include "registry/client.h"

namespace strake::builder {

Publisher::Publisher(std::vector<oci::Repository> repositories, const BlobOptions& options,
                     Machine& machine, LayerFetcher& fetcher, std::stop_token stop)
    : options_(options), machine_(machine), fetcher_(fetcher), stop_(std::move(stop)) {
  std::string names;
  for (const oci::Repository& repository : repositories)
    names += (names.empty() ? "" : ", ") + repository.str();
  task_ = machine_.progress.start({"", "", "push " + names});
  for (oci::Repository& repository : repositories) {
    registry::TransferOptions transfer;
    transfer.stop = stop_;
    transfer.progress = [this](const registry::TransferProgress& progress) {
      const bool done = progress.state != registry::TransferState::uploading;
      machine_.progress.bytes(task_, progress.blob.digest.str().substr(0, 19),
                              done ? progress.blob.size : progress.bytes_done, progress.blob.size);
    };
    uploaders_.push_back(std::make_unique<registry::BlobUploader>(
        machine_.registry, std::move(repository), std::move(transfer)));
  }
}

Publisher::~Publisher() {
  worker_.request_stop();
  if (worker_.joinable()) worker_.join();
  const bool failed = error_ != nullptr || std::uncaught_exceptions() > 0;
  machine_.progress.finish(task_, stop_.stop_requested() ? Outcome::cancelled
                                  : failed               ? Outcome::failed
                                                         : Outcome::done);
}

void Publisher::check_permissions() {
  for (const auto& uploader : uploaders_) {
    try {
      machine_.registry.check_push_permission(uploader->repository(), stop_);
    } catch (base::Error& error) {
      error.add_context("checking that " + base::quoted(uploader->repository().str()) +
                        " may be pushed to");
      throw;
    }
  }
}

void Publisher::add(const base::DiffId& layer) {
  const std::lock_guard lock(mutex_);
  if (std::find(seen_.begin(), seen_.end(), layer) != seen_.end()) return;
  seen_.push_back(layer);
  queue_.push_back(layer);
  if (!worker_.joinable())
    worker_ = std::jthread([this](std::stop_token stop) { work(std::move(stop)); });
  changed_.notify_all();
}

void Publisher::work(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !queue_.empty(); })) {
    const base::DiffId layer = queue_.front();
    queue_.pop_front();
    if (error_ != nullptr) continue;
    busy_ = true;
    lock.unlock();
    std::exception_ptr error;
    try {
      const oci::Descriptor blob = layer_blob(layer, options_, machine_);
      for (const auto& uploader : uploaders_)
        uploader->enqueue(upload_of(layer, blob, machine_, fetcher_));
    } catch (...) {  // the edge of a thread: finish() throws it again
      error = std::current_exception();
    }
    lock.lock();
    busy_ = false;
    if (error_ == nullptr) error_ = error;
    changed_.notify_all();
  }
}

void Publisher::wait_until_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return error_ != nullptr || (queue_.empty() && !busy_); });
  if (error_ != nullptr) std::rethrow_exception(error_);
}

void Publisher::finish(const oci::Repository& repository, std::span<const AssembledImage> images,
                       const ImageDocuments& documents, std::span<const std::string> tags) {
  wait_until_idle();
  const auto uploader =
      std::find_if(uploaders_.begin(), uploaders_.end(),
                   [&](const auto& candidate) { return candidate->repository() == repository; });
  std::vector<registry::BlobUpload> blobs;
  std::vector<registry::DocumentPush> children;
  for (std::size_t i = 0; i < images.size(); ++i) {
    for (std::size_t j = 0; j < images[i].layers.size(); ++j)
      blobs.push_back(
          upload_of(images[i].layers[j].diff_id, documents.layers[i][j], machine_, fetcher_));
    blobs.push_back({images[i].config_blob, [json = images[i].config_json] {
                       return std::make_unique<base::StringSource>(json);
                     }});
    const auto& manifest = documents.manifests[i];
    if (documents.index) children.push_back({manifest.descriptor, manifest.bytes});
  }
  const registry::DocumentPush root{documents.root(), documents.index
                                                          ? documents.index->bytes
                                                          : documents.manifests.front().bytes};
  try {
    registry::push_image(machine_.registry, **uploader, std::move(blobs), children, root, tags,
                         stop_);
  } catch (base::Error& error) {
    error.add_context("pushing to " + repository.str());
    throw;
  }
  for (std::size_t i = 0; i < images.size(); ++i)
    for (std::size_t j = 0; j < images[i].layers.size(); ++j)
      machine_.layers.add_blob(images[i].layers[j].diff_id, documents.layers[i][j], &repository);
}

}  // namespace strake::builder
