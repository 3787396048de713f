#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "builder/exec/build.h"
#include "builder/exec/layer_blobs.h"
#include "builder/output/outputs.h"
#include "registry/transfer.h"

namespace strake::builder {

/// Brings layers to registries while later steps still run: compresses each finished layer of the
/// result in the background and uploads it, so that a push ends about when the build ends.
/// Thread-safe.
class Publisher {
 public:
  /// `repositories`: where to; the first reference of each repository will do.
  Publisher(std::vector<oci::Repository> repositories, const BlobOptions& options, Machine& machine,
            LayerFetcher& fetcher, std::stop_token stop);
  /// Drops what is not finished.
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Fails early: the build must not find out after an hour that it may not push.
  void check_permissions();

  /// Returns at once. Layers that were given before are ignored.
  void add(const base::DiffId& layer);

  /// Uploads what is missing of the images, then their manifests by digest, then the root of
  /// `documents` under `tags` (by its digest, if there are none). Remembers that `repository` has
  /// the layers.
  void finish(const oci::Repository& repository, std::span<const AssembledImage> images,
              const ImageDocuments& documents, std::span<const std::string> tags);

 private:
  void work(std::stop_token stop);
  void wait_until_idle();

  const BlobOptions options_;
  Machine& machine_;
  LayerFetcher& fetcher_;
  std::stop_token stop_;
  TaskId task_{};
  std::vector<std::unique_ptr<registry::BlobUploader>> uploaders_;  // one a repository

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::deque<base::DiffId> queue_;
  std::vector<base::DiffId> seen_;
  bool busy_ = false;
  std::exception_ptr error_;
  std::jthread worker_;  // last: it uses all of the above
};

}  // namespace strake::builder
