#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "layers/base/digest.h"
#include "layers/base/files.h"
#include "layers/oci/reference.h"

namespace strake::registry {

/// An upload that a registry opened and that has not got all its bytes.
struct UnfinishedUpload {
  std::string location;            // absolute URL; may hold a signature
  std::uint64_t offset_bytes = 0;  // known to be stored
};

/// Uploads that were begun and not finished, kept on disk for the next process: one record for each
/// blob and repository, in a file of its own (0600, in a directory with 0700) that is replaced
/// atomically. Records of more than a day ago are removed: registries have forgotten those uploads.
///
/// Of two processes that upload the same blob to the same repository, the first has the record, and
/// the second waits for it: it may find the blob there then. Thread-safe.
class UploadSessions {
 public:
  /// `directory` is made when the first record is written; "" remembers nothing.
  explicit UploadSessions(std::filesystem::path directory) : directory_(std::move(directory)) {}

  /// The right to one record, by a lock on a file beside it. Of one thread at a time.
  class Record {
   public:
    /// A record that is kept nowhere.
    Record() = default;
    Record(Record&&) noexcept = default;
    Record& operator=(Record&&) noexcept = default;
    ~Record();

    /// What an earlier attempt left here, if it is worth asking the registry about.
    const std::optional<UnfinishedUpload>& found() const noexcept { return found_; }
    /// Replaces what was written before. A disk that does not take it is no error: only resumption
    /// is lost.
    void write(const UnfinishedUpload& upload);
    /// The blob is there, or the registry has forgotten the upload.
    void remove() noexcept;

    /// It is kept somewhere, so these mean something.
    explicit operator bool() const noexcept { return !file_.empty(); }
    const std::filesystem::path& file() const noexcept { return file_; }
    const std::string& subject() const noexcept { return subject_; }
    int lock_fd() const noexcept { return lock_.fd(); }

   private:
    friend class UploadSessions;
    Record(std::filesystem::path file, std::string subject, base::FileLock lock);

    std::filesystem::path file_;  // empty: kept nowhere
    std::string subject_;         // written into the record: whose it is
    base::FileLock lock_;
    std::optional<UnfinishedUpload> found_;
  };

  /// The record of `blob` on its way to `repository`; nullopt while another process or thread has
  /// it. One that is kept nowhere when the directory cannot be used.
  std::optional<Record> open(const oci::Repository& repository, const base::Digest& blob) const;

  /// Writes a record for its owner, who holds its lock. Throws Error.
  static void write(const std::filesystem::path& file, const std::string& subject,
                    const UnfinishedUpload& upload);

 private:
  void remove_old() const;

  const std::filesystem::path directory_;
};

}  // namespace strake::registry
