#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "builder/exec/build.h"
#include "builder/exec/layer_blobs.h"
#include "builder/output/outputs.h"
#include "registry/transfer.h"

namespace strake::builder {

/// What to push where: repositories with the tags that are to name the image there. Without tags it
/// is pushed by its digest.
using PushTargets = std::map<oci::Repository, std::vector<std::string>>;

/// Brings layers to registries while the build still runs, so that a push ends about when the build
/// ends. A layer that is made now is compressed while it is sealed, and uploaded while it is
/// compressed (start_blob()); one that was made before, in the background (add()). Each registry is
/// sent a blob once, for its first repository; the others mount it from there.
class Publisher {
 public:
  Publisher(PushTargets targets, const BlobOptions& options, Machine& machine,
            LayerFetcher& fetcher, std::stop_token stop);
  /// Drops what is not finished.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Fails early: the build must not find out after an hour that it may not push. Asks once,
  /// however often it is called, or waits for the answer if it was asked already. Thread-safe.
  void check_permissions() { check_permissions(stop_); }
  /// The same in the background, for what need not wait for the answer. `refused` is called if the
  /// build is in vain; rethrow_refusal() says why then. Thread-safe.
  void check_permissions_meanwhile(std::function<void()> refused);
  void rethrow_refusal();

  /// The blob of a layer that is about to be sealed, and will be given to add() then. Thread-safe.
  std::unique_ptr<LayerBlobBuilder> start_blob();

  /// Returns at once. Layers that were given before are ignored. None is looked at before the
  /// permissions are asked for, or finish(): the first request loads libcurl, and while a library is
  /// loaded no thread can start, so those that the steps need are to be there. Thread-safe.
  void add(const base::DiffId& layer);

  /// Uploads what is missing of the images, then their manifests by digest, then the root of
  /// `documents` under the tags. Registries are served at the same time. Remembers which
  /// repositories have the layers.
  void finish(std::span<const AssembledImage> images, const ImageDocuments& documents);

 private:
  /// The repositories of one registry, the one that blobs are uploaded to first.
  using Registry = std::vector<std::unique_ptr<registry::BlobUploader>>;

  void check_permissions(std::stop_token stop);
  void start();
  void work(std::stop_token stop);
  void publish(const base::DiffId& layer);
  void stream(LayerBlobBuilder& blob);
  void wait_until_idle();
  void finish(const Registry& registry, std::span<const AssembledImage> images,
              const ImageDocuments& documents);
  void push(registry::BlobUploader& uploader, const std::vector<oci::Repository>& earlier,
            std::span<const AssembledImage> images, const ImageDocuments& documents);

  const PushTargets targets_;
  const BlobOptions options_;
  Machine& machine_;
  LayerFetcher& fetcher_;
  std::stop_token stop_;
  TaskId task_{};
  std::map<std::string, Registry> registries_;  // by host
  std::once_flag permissions_checked_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::deque<base::DiffId> queue_;
  std::vector<base::DiffId> seen_;
  std::size_t busy_ = 0;  // workers
  std::exception_ptr error_;
  std::exception_ptr refusal_;         // of a registry that may not be pushed to
  std::vector<std::jthread> workers_;  // last: they use all of the above
  std::jthread permission_check_;
};

}  // namespace strake::builder
