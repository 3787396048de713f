#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/fd.h"
#include "layers/base/growing_file.h"
#include "layers/base/stream.h"
#include "layers/oci/descriptor.h"
#include "layers/store.h"

namespace strake::layers {

class BlobStore;

/// A blob being written: hashed as it comes, nameless until commit(). Dropped without a trace when
/// destroyed before. One thread at a time.
class BlobWriter final : public base::ByteSink {
 public:
  BlobWriter(BlobWriter&&) noexcept = default;
  ~BlobWriter() override;

  void write(std::span<const std::byte> bytes) override;
  std::uint64_t size_bytes() const noexcept { return size_bytes_; }

  /// The bytes as others may read them while they are written. It is finished by commit(), and
  /// abandoned by whatever else ends the writer.
  std::shared_ptr<base::GrowingFile> growing();

  /// Gives the bytes their name. With `expected`, throws Error(corrupt) unless digest and size are
  /// those. The media type of the result is `media_type`. Committing what is there already is fine.
  /// Call once.
  oci::Descriptor commit(std::string media_type, const oci::Descriptor* expected = nullptr);

 private:
  friend class BlobStore;
  friend class PartialBlob;
  BlobWriter(const BlobStore& store, base::FileDescriptor file, std::filesystem::path name,
             base::TempDirectory directory);
  void take_existing();
  void truncate();
  void publish(const base::Digest& digest);
  int give_name(int directory, const std::string& path) const;

  const BlobStore* store_;
  base::FileDescriptor file_;
  std::filesystem::path name_;     // empty: the file has none (O_TMPFILE)
  base::TempDirectory directory_;  // what holds a named one that is not to stay
  base::Sha256 sha256_;
  std::uint64_t size_bytes_ = 0;
  std::shared_ptr<base::GrowingFile> growing_;  // shared with its readers
};

/// A download that survives interruption: its bytes stay in ingest/partial until they are whole.
class PartialBlob final : public base::ByteSink {
 public:
  PartialBlob(PartialBlob&&) noexcept = default;
  ~PartialBlob() override;

  /// How much is there already; ask the server for the rest. (Hashing it again is done here.)
  std::uint64_t size_bytes() const noexcept { return writer_.size_bytes(); }
  /// The digest of all of that.
  base::Digest digest() const { return writer_.sha256_.digest(); }
  void write(std::span<const std::byte> bytes) override { writer_.write(bytes); }
  /// As BlobWriter::growing(). Who starts again abandons it first.
  std::shared_ptr<base::GrowingFile> growing() { return writer_.growing(); }
  /// Starts again from nothing: the server would not resume, or what was kept is wrong.
  void restart();
  /// As BlobWriter::commit; on a mismatch the bytes are thrown away.
  oci::Descriptor commit();

 private:
  friend class BlobStore;
  PartialBlob(base::FileLock lock, BlobWriter writer, oci::Descriptor expected);

  base::FileLock lock_;  // on the file itself
  BlobWriter writer_;
  oci::Descriptor expected_;
};

/// Content-addressed files under blobs. Safe for several threads and processes.
///
/// Nothing is synced to disk: a blob is kept under the id of the boot that it was written in, whole
/// for as long as that boot runs. Under a later one whoever looks for it first reads it: what has
/// the right digest was on the disk, and stays; what has not is removed, and counts as absent.
class BlobStore {
 public:
  explicit BlobStore(const Store& store);

  bool contains(const base::Digest& digest) const { return size(digest).has_value(); }
  /// Whether this object has written the blob, and so seen all its bytes: a reader whose
  /// other end verifies them need not do so again.
  bool wrote(const base::Digest& digest) const;
  /// The size in bytes; nullopt if the blob is not there.
  std::optional<std::uint64_t> size(const base::Digest& digest) const;

  /// A source of the blob that throws Error(corrupt), and quarantines the blob, unless size and
  /// digest turn out right. Throws Error(not_found) if it is absent; one of another size than
  /// `blob.size` is quarantined and counts as absent.
  std::unique_ptr<base::ByteSource> open(const oci::Descriptor& blob) const;
  /// The bytes from `offset` on, unverified: for an upload that goes on, or of what this process
  /// wrote, whose other end verifies the digest. Throws Error(not_found).
  std::unique_ptr<base::ByteSource> open_at(const oci::Descriptor& blob,
                                            std::uint64_t offset) const;
  /// The same as a file, at its beginning.
  base::FileDescriptor open_file(const oci::Descriptor& blob) const;
  /// A small blob (config, manifest), verified; nullopt if it is not there or was corrupt.
  std::optional<std::string> read(const base::Digest& digest,
                                  std::size_t limit_bytes = 8 << 20) const;

  /// Streams `bytes` into the store.
  oci::Descriptor put(base::ByteSource& bytes, std::string media_type) const;
  oci::Descriptor put(std::string_view bytes, std::string media_type) const;
  BlobWriter writer() const;
  /// The resumable form of writer() for a download of `expected`. Waits if another process is
  /// downloading the same blob: look with contains() afterwards, it may be there by then.
  PartialBlob resume(const oci::Descriptor& expected) const;

  /// All blobs, in no order. For pruning.
  struct Entry {
    base::Digest digest;
    std::uint64_t size_bytes;
    std::int64_t mtime_seconds;  // since 1970
  };
  std::vector<Entry> list() const;
  void remove(const base::Digest& digest) const;  // absent is fine
  /// Moves the blob to quarantine/; from now on it is absent.
  void set_aside(const base::Digest& digest) const;

 private:
  friend class BlobWriter;
  friend class PartialBlob;

  /// A blob's path below blobs/, and what is there.
  struct Found {
    std::string path;
    std::uint64_t size_bytes = 0;
  };
  std::optional<Found> find(const base::Digest& digest) const;
  std::optional<Found> look(const std::string& directory, const base::Digest& digest) const;
  bool keep_from_earlier_boot(const base::Digest& digest) const;
  std::vector<std::string> directories() const;

  const Store* store_;
  base::FileDescriptor directory_;  // blobs
  mutable std::mutex mutex_;        // guards what follows
  mutable std::set<base::Digest> written_;
};

}  // namespace strake::layers
