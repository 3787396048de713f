#include "builder/exec/layer_fetcher.h"

#include <thread>

#include "builder/exec/shown_task.h"
#include "layers/archive/compression.h"
#include "layers/base/error.h"
#include "layers/base/trace.h"
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
    partial_.restart();
    return true;
  }

 private:
  layers::PartialBlob& partial_;
  Progress& progress_;
  TaskId task_;
  std::uint64_t total_;
  std::string item_;
};

}  // namespace

bool LayerFetcher::available(const base::DiffId& layer) const {
  if (machine_.layers.has_tree(layer)) return true;
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
  base::name_trace_thread("fetch");
  const std::vector<layers::KnownBlob> known = machine_.layers.blobs(layer);
  for (const layers::KnownBlob& form : known)
    if (machine_.blobs.contains(form.blob.digest)) return unpack(layer, form.blob);
  for (const layers::KnownBlob& form : known) {
    if (form.repositories.empty()) continue;
    pull(layer, form.blob);
    return unpack(layer, form.blob);
  }
  throw Error(ErrorCode::not_found, "layer " + layer.digest.str() +
                                        " is not in the store, and no registry is known to have it")
      .hint("build again with --no-cache");
}

void LayerFetcher::ensure_blob(const base::DiffId& layer, const oci::Descriptor& blob) {
  if (!machine_.blobs.contains(blob.digest)) pull(layer, blob);
}

void LayerFetcher::pull(const base::DiffId& layer, const oci::Descriptor& blob) {
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

  const std::string shown = places.front().path + "@" + blob.digest.str().substr(0, 19);
  ShownTask task(machine_.progress, {"", "", "pull " + shown});
  const base::TraceSpan span("pull", shown);
  try {
    layers::PartialBlob partial = machine_.blobs.resume(blob);
    if (!machine_.blobs.contains(blob.digest)) {
      StoredDownload download(partial, machine_.progress, task.id(), blob);
      machine_.registry.get_blob(places, blob, download, stop_);
      partial.commit();
    }
    task.set(Outcome::done);
  } catch (Error& error) {
    task.set(error);
    error.add_context("pulling layer " + blob.digest.str() + " from " + places.front().str());
    throw;
  }
}

void LayerFetcher::unpack(const base::DiffId& layer, const oci::Descriptor& blob) {
  const base::TraceSpan span("unpack", blob.digest.str());
  const auto compression = oci::layer_compression(blob.media_type);
  if (!compression)
    throw Error(ErrorCode::unsupported,
                "layers of type " + base::quoted(blob.media_type) + " are not supported");
  const auto tar = layers::make_decompressor(machine_.blobs.open(blob),
                                             layers::archive_compression(*compression));
  try {
    machine_.layers.unpack(*tar, layer);
  } catch (Error& error) {
    error.add_context("unpacking layer " + blob.digest.str());
    throw;
  }
}

}  // namespace strake::builder
