#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "layers/base/growing_file.h"
#include "layers/oci/descriptor.h"
#include "layers/oci/reference.h"
#include "registry/client.h"

namespace strake::registry {

enum class TransferState {
  exists,     // the other side has it: nothing to do
  mounted,    // taken over from another repository of the registry
  uploading,  // `bytes_done` says how far; goes back when an attempt failed
  downloading,
  done,
};

/// How far the transfer of one blob has come.
struct TransferProgress {
  const oci::Descriptor& blob;
  TransferState state;
  std::uint64_t bytes_done = 0;  // of blob.size
};

/// Called from the transferring threads, several at once, often: keep it short.
using ProgressCallback = std::function<void(const TransferProgress&)>;

struct TransferOptions {
  int parallel = 6;
  ProgressCallback progress = {};
  std::stop_token stop = {};
};

/// A blob to push: its bytes are asked for only if the registry needs them.
struct BlobUpload {
  oci::Descriptor blob;
  BlobOpener open;
  /// Repositories that may have it already, likeliest first; those of other registries are ignored.
  std::vector<oci::Repository> mount_from = {};
  /// As BlobBytes::open_file.
  std::function<base::FileDescriptor()> open_file = {};
  /// Made just now, so that hardly anybody has it: a small one is sent without asking first, which
  /// would cost as much.
  bool is_new = false;
};

/// Brings blobs to one repository in the background, each at most once: looks whether it is there,
/// then mounts, then uploads. A mount goes first where another repository is known to have the blob
/// and this one is not: its answer is the same if the blob is there already. Threads start with the
/// first blob. For pushing finished layers while later steps still run. Thread-safe.
class BlobUploader {
 public:
  BlobUploader(Client& client, oci::Repository to, TransferOptions options = {});
  /// Cancels what is not finished.
  ~BlobUploader();
  BlobUploader(const BlobUploader&) = delete;
  BlobUploader& operator=(const BlobUploader&) = delete;

  const oci::Repository& repository() const noexcept;

  /// Client::check_push_permission(). The upload that it opens is used for the first blob that
  /// needs one soon, which waits for that; else it is cancelled at the end.
  void check_permission(std::stop_token stop);

  /// Returns at once. A digest that was enqueued before is ignored, and so is everything after the
  /// first error.
  void enqueue(BlobUpload upload);

  /// Uploads a blob that is still being made, as soon as there is enough of it. Returns at once;
  /// only a few are sent in this way at a time, others are left to enqueue(), which is to be called
  /// for each blob when it is finished (GrowingFile::finish() before): what arrived already is not
  /// sent again.
  void stream(std::shared_ptr<const base::GrowingFile> blob);

  /// Blocks until all blobs enqueued so far are there; throws the first error, again each time.
  void wait_all();
  /// The same for some of them.
  void wait_for(std::span<const base::Digest> blobs);

  /// After wait_all(): uploads those blobs after all that the registry said it had, or had mounted,
  /// and waits for them. For a registry that then does not know a blob.
  void upload_unsent();

 private:
  struct State;
  std::shared_ptr<State> state_;  // shared with blobs that are not worth a thread yet
};

/// A manifest or index with the exact bytes to store.
struct DocumentPush {
  oci::Descriptor descriptor;
  std::string bytes;
  std::vector<base::Digest> blobs = {};  // that it names; they are enqueued
};

/// Pushes an image: blobs (those of `uploader` and `blobs`), each of `children` by digest when its
/// blobs are there, then `root` under each of `tags` (by digest if there are none): no name ever
/// points at content that is not there. A multi-platform image's manifests are children, its index
/// the root.
void push_image(Client& client, BlobUploader& uploader, std::vector<BlobUpload> blobs,
                std::span<const DocumentPush> children, const DocumentPush& root,
                std::span<const std::string> tags, std::stop_token stop = {});

/// A blob to pull. `finished` runs on the pulling thread after the last byte was verified.
struct BlobFetch {
  oci::Descriptor blob;
  base::ByteSink& to;
  std::function<void()> finished = {};
};

/// Pulls blobs in parallel, the first of the list first; throws the first error after all others
/// have stopped.
void fetch_blobs(Client& client, const oci::Repository& from, std::span<const BlobFetch> blobs,
                 const TransferOptions& options = {});

}  // namespace strake::registry
