#include "registry/transfer.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "layers/base/error.h"

namespace strake::registry {
namespace {

using base::Error;

/// Manifests of an index that are stored at the same time.
constexpr std::size_t kManifestsAtOnce = 6;

/// Reports what arrived, at most once in each kStepBytes.
class ReportingSink final : public base::ByteSink {
 public:
  ReportingSink(base::ByteSink& to, std::function<void(std::uint64_t)> report)
      : to_(to), report_(std::move(report)) {}

  void write(std::span<const std::byte> bytes) override {
    to_.write(bytes);
    done_ += bytes.size();
    if (done_ >= reported_ + kStepBytes) {
      reported_ = done_;
      report_(done_);
    }
  }

 private:
  static constexpr std::uint64_t kStepBytes = 256 * 1024;
  base::ByteSink& to_;
  std::function<void(std::uint64_t)> report_;
  std::uint64_t done_ = 0, reported_ = 0;
};

/// Keeps the first exception of several threads, and stops the others.
class FirstError {
 public:
  explicit FirstError(std::stop_source& others) : others_(others) {}

  void keep(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    others_.request_stop();
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::stop_source& others_;
  std::mutex mutex_;
  std::exception_ptr error_;
};

/// Does `work` for 0 … count-1 on `limit` threads, this one included, in that order. The first
/// error stops the rest, and is thrown when all have ended; so does `outer`, which is
/// Error(cancelled).
void do_at_once(std::size_t count, std::size_t limit, const std::stop_token& outer,
                const std::function<void(std::size_t, const std::stop_token&)>& work) {
  std::stop_source stop;
  const std::stop_callback forward(outer, [&] { stop.request_stop(); });
  FirstError error(stop);
  std::atomic<std::size_t> next = 0;
  const auto run = [&] {
    for (std::size_t i = next++; i < count && !stop.stop_requested(); i = next++) {
      try {
        work(i, stop.get_token());
      } catch (...) {  // the thread's edge: thrown below
        error.keep(std::current_exception());
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < std::min(limit, count); ++i) threads.emplace_back(run);
    run();
  }
  error.rethrow();
  if (outer.stop_requested()) throw Error(base::ErrorCode::cancelled, "cancelled");
}

void fetch_one(Client& client, const oci::Repository& from, const BlobFetch& fetch,
               const ProgressCallback& progress, std::stop_token stop) {
  const auto report = [&](TransferState state, std::uint64_t bytes_done) {
    if (progress) progress({fetch.blob, state, bytes_done});
  };
  try {
    report(TransferState::downloading, 0);
    ReportingSink sink(fetch.to, [&](std::uint64_t bytes_done) {
      report(TransferState::downloading, bytes_done);
    });
    client.get_blob(from, fetch.blob, sink, std::move(stop));
    if (fetch.finished) fetch.finished();
    report(TransferState::done, fetch.blob.size);
  } catch (Error& e) {
    e.add_context("pulling blob " + fetch.blob.digest.str() + " from " + from.str());
    throw;
  }
}

}  // namespace

void push_image(Client& client, BlobUploader& uploader, std::vector<BlobUpload> blobs,
                std::span<const DocumentPush> children, const DocumentPush& root,
                std::span<const std::string> tags, std::stop_token stop) {
  for (BlobUpload& blob : blobs) uploader.enqueue(std::move(blob));
  const oci::Repository& to = uploader.repository();
  const auto put = [&](const DocumentPush& document, std::optional<std::string> tag,
                       const std::stop_token& token) {
    client.put_manifest({to, std::move(tag), document.descriptor.digest}, document.bytes,
                        document.descriptor.media_type, token, [&] { uploader.upload_unsent(); });
  };
  do_at_once(children.size(), kManifestsAtOnce, stop,
             [&](std::size_t i, const std::stop_token& token) {
               // Every blob must be on the server before a manifest names it …
               uploader.wait_for(children[i].blobs);
               put(children[i], std::nullopt, token);
             });
  // … and every manifest before an index does.
  uploader.wait_all();
  if (tags.empty()) put(root, std::nullopt, stop);
  for (const std::string& tag : tags) put(root, tag, stop);
}

void fetch_blobs(Client& client, const oci::Repository& from, std::span<const BlobFetch> blobs,
                 const TransferOptions& options) {
  do_at_once(blobs.size(), static_cast<std::size_t>(std::max(options.parallel, 1)), options.stop,
             [&](std::size_t i, const std::stop_token& stop) {
               fetch_one(client, from, blobs[i], options.progress, stop);
             });
}

}  // namespace strake::registry
