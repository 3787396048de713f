#include "builder/exec/layer_fetcher.h"

#include <optional>
#include <thread>
#include <utility>

#include "builder/exec/shown_task.h"
#include "layers/archive/compression.h"
#include "layers/base/error.h"
#include "layers/base/growing_file.h"
#include "layers/base/trace.h"
#include "layers/base/worker_pool.h"
#include "layers/blob_store.h"
#include "layers/layer_store.h"
#include "registry/client.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;

/// A download into the store, shown by the progress display.
class StoredDownload final : public registry::ResumableSink {
 public:
  StoredDownload(layers::PartialBlob& partial, Progress& progress, TaskId task,
                 const oci::Descriptor& blob)
      : partial_(partial),
        growing_(partial.growing()),
        progress_(progress),
        task_(task),
        total_(blob.size),
        item_(blob.digest.str().substr(0, 19)) {}

  void write(std::span<const std::byte> bytes) override {
    partial_.write(bytes);
    progress_.bytes(task_, item_, partial_.size_bytes(), total_);
  }
  std::uint64_t size_bytes() const override { return partial_.size_bytes(); }
  base::Digest digest() const override { return partial_.digest(); }
  bool restart() override {
    growing_->abandon();  // who reads it has read what was wrong
    partial_.restart();
    return true;
  }

 private:
  layers::PartialBlob& partial_;
  std::shared_ptr<base::GrowingFile> growing_;
  Progress& progress_;
  TaskId task_;
  std::uint64_t total_;
  std::string item_;
};

/// The bytes of a blob that is still being downloaded. They end when the blob was found right.
class DownloadedBytes final : public base::ByteSource {
 public:
  explicit DownloadedBytes(std::shared_ptr<base::GrowingFile> file) : file_(std::move(file)) {}

  std::size_t read(std::span<std::byte> buffer) override {
    // Whoever downloads ends the file in any case.
    const base::GrowingFile::Progress progress = file_->wait_beyond(position_, std::stop_token());
    const std::size_t count = file_->read_at(position_, buffer);
    const bool at_end = position_ == progress.size_bytes;
    if (progress.state == base::GrowingFile::State::abandoned || (count == 0 && !at_end))
      throw Error(ErrorCode::cancelled, "the download was given up");
    position_ += count;
    return count;
  }

 private:
  std::shared_ptr<base::GrowingFile> file_;
  std::uint64_t position_ = 0;
};

/// Unpacks a blob while it is downloaded, in a thread of its own. The file is the buffer between
/// the two: a slow disk does not keep a server waiting.
class UnpackAlong {
 public:
  using Unpack = std::function<void(std::unique_ptr<base::ByteSource>)>;

  UnpackAlong(std::shared_ptr<base::GrowingFile> file, Unpack unpack)
      : file_(std::move(file)),
        done_(std::async(std::launch::async, [file = file_, unpack = std::move(unpack)] {
          base::name_trace_thread("unpack");
          file->wait_beyond(0, std::stop_token());
          unpack(std::make_unique<DownloadedBytes>(file));
        })) {}
  UnpackAlong(const UnpackAlong&) = delete;
  UnpackAlong& operator=(const UnpackAlong&) = delete;
  ~UnpackAlong() { file_->abandon(); }

  /// To be called when the whole blob is there. False if the download had to begin again meanwhile,
  /// so that what was unpacked came to nothing; throws what the unpacking threw.
  bool finish() {
    done_.wait();
    if (file_->progress().state != base::GrowingFile::State::finished) return false;
    done_.get();
    return true;
  }

 private:
  std::shared_ptr<base::GrowingFile> file_;  // shared with the download and the thread
  std::future<void> done_;                   // waits for the thread when destroyed
};

/// One of the unpackings that may be under way at a time.
class Turn {
 public:
  explicit Turn(std::counting_semaphore<>& turns) : turns_(turns) { turns_.acquire(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { turns_.release(); }

 private:
  std::counting_semaphore<>& turns_;
};

}  // namespace

// One more than there are processors: a download that is slow leaves the others enough to do.
LayerFetcher::LayerFetcher(Machine& machine, std::stop_token stop, PullPolicy policy)
    : machine_(machine),
      stop_(std::move(stop)),
      pulls_(policy != PullPolicy::never),
      unpackings_(static_cast<std::ptrdiff_t>(base::usable_processors()) + 1) {}

bool LayerFetcher::available(const base::DiffId& layer) const {
  if (machine_.layers.has_tree(layer) || machine_.layers.has_tar(layer)) return true;
  for (const layers::KnownBlob& known : machine_.layers.blobs(layer))
    if ((pulls_ && !known.repositories.empty()) || machine_.blobs.contains(known.blob.digest))
      return true;
  return false;
}

void LayerFetcher::ensure_trees(std::span<const base::DiffId> wanted) {
  std::vector<std::shared_future<void>> pending;
  std::vector<std::jthread> threads;
  {
    const std::lock_guard lock(mutex_);
    for (const base::DiffId& layer : wanted) {
      const auto known = trees_.find(layer);
      if (known != trees_.end()) {
        pending.push_back(known->second);
        continue;
      }
      if (machine_.layers.has_tree(layer)) continue;
      std::packaged_task<void()> task([this, layer] { fetch_tree(layer); });
      pending.push_back(task.get_future().share());
      trees_.emplace(layer, pending.back());
      threads.emplace_back(std::move(task));
    }
  }
  for (const auto& future : pending) future.wait();
  for (const auto& future : pending) future.get();
}

void LayerFetcher::fetch_tree(const base::DiffId& layer) {
  if (machine_.layers.has_tar(layer)) {
    const Turn turn(unpackings_);
    return machine_.layers.unpack_tar(layer);
  }
  base::name_trace_thread("fetch");
  const std::vector<layers::KnownBlob> known = machine_.layers.blobs(layer);
  for (const layers::KnownBlob& form : known)
    if (machine_.blobs.contains(form.blob.digest)) return unpack(layer, form.blob);
  for (const layers::KnownBlob& form : known) {
    if (form.repositories.empty()) continue;
    if (!pull(layer, form.blob, Also::unpack)) unpack(layer, form.blob);
    return;
  }
  throw Error(ErrorCode::not_found, "layer " + layer.digest.str() +
                                        " is not in the store, and no registry is known to have it")
      .hint("build again with --no-cache");
}

void LayerFetcher::ensure_blob(const base::DiffId& layer, const oci::Descriptor& blob) {
  if (!machine_.blobs.contains(blob.digest)) pull(layer, blob, Also::nothing);
}

/// Repositories that have the blob. Throws if none is known or may be asked.
std::vector<oci::Repository> LayerFetcher::places_of(const base::DiffId& layer,
                                                     const oci::Descriptor& blob) const {
  std::vector<oci::Repository> places;
  for (const layers::KnownBlob& known : machine_.layers.blobs(layer))
    if (known.blob.digest == blob.digest)
      places.insert(places.end(), known.repositories.begin(), known.repositories.end());
  if (places.empty())
    throw Error(ErrorCode::not_found, "no registry is known to have blob " + blob.digest.str());
  if (!pulls_)
    throw Error(ErrorCode::not_found, "layer " + layer.digest.str() + " of " +
                                          base::quoted(places.front().str()) +
                                          " is not in the store")
        .hint("leave out --pull=never, or pull the image first");
  return places;
}

/// Gets the blob into the store; whether the layer was unpacked by the way.
bool LayerFetcher::pull(const base::DiffId& layer, const oci::Descriptor& blob, Also also) {
  const std::vector<oci::Repository> places = places_of(layer, blob);
  std::optional<UnpackAlong> unpacking;
  try {
    layers::PartialBlob partial = machine_.blobs.resume(blob);
    if (machine_.blobs.contains(blob.digest)) return false;
    if (also == Also::unpack)
      unpacking.emplace(partial.growing(),
                        [this, layer, blob](auto bytes) { unpack(layer, blob, std::move(bytes)); });
    download(places, blob, partial);
    partial.commit();
  } catch (Error& error) {
    error.add_context("pulling layer " + blob.digest.str() + " from " + places.front().str());
    throw;
  }
  return unpacking && unpacking->finish();
}

void LayerFetcher::download(std::span<const oci::Repository> places, const oci::Descriptor& blob,
                            layers::PartialBlob& to) {
  const std::string shown = places.front().path + "@" + blob.digest.str().substr(0, 19);
  ShownTask task(machine_.progress, {"", "", "pull " + shown});
  const base::TraceSpan span("pull", shown);
  try {
    StoredDownload sink(to, machine_.progress, task.id(), blob);
    machine_.registry.get_blob(places, blob, sink, stop_);
    task.set(Outcome::done);
  } catch (const Error& error) {
    task.set(error);
    throw;
  }
}

void LayerFetcher::unpack(const base::DiffId& layer, const oci::Descriptor& blob) {
  unpack(layer, blob, machine_.blobs.open(blob));
}

void LayerFetcher::unpack(const base::DiffId& layer, const oci::Descriptor& blob,
                          std::unique_ptr<base::ByteSource> bytes) {
  const auto compression = oci::layer_compression(blob.media_type);
  if (!compression)
    throw Error(ErrorCode::unsupported,
                "layers of type " + base::quoted(blob.media_type) + " are not supported");
  const Turn turn(unpackings_);
  const base::TraceSpan span("unpack", blob.digest.str());
  const auto tar =
      layers::make_decompressor(std::move(bytes), layers::archive_compression(*compression));
  try {
    machine_.layers.unpack(*tar, layer);
  } catch (Error& error) {
    error.add_context("unpacking layer " + blob.digest.str());
    throw;
  }
}

}  // namespace strake::builder
