#pragma once

#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "registry/client.h"
#include "registry/stream_limit.h"
#include "registry/upload_sessions.h"

namespace strake::registry {

/// What the uploads and downloads of a client share. Thread-safe.
class Transfers {
 public:
  explicit Transfers(const ClientOptions& options)
      : sizes(options.sizes),
        courier(options.courier),
        sessions(options.upload_directory),
        segments(options.sizes.segments_ahead) {}

  /// Whether uploads to this registry go in chunks: true until it refused them.
  bool takes_chunks(const std::string& host) const {
    const std::lock_guard lock(mutex_);
    return !without_chunks_.contains(host);
  }
  void remember_without_chunks(const std::string& host) {
    const std::lock_guard lock(mutex_);
    without_chunks_.insert(host);
  }

  const TransferSizes sizes;
  const std::vector<std::string> courier;
  const UploadSessions sessions;
  /// Segments of downloads that are in memory.
  StreamLimit segments;

 private:
  mutable std::mutex mutex_;  // guards what follows
  std::set<std::string> without_chunks_;
};

}  // namespace strake::registry
