#include "layers/blob_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/base/rooted_directory.h"

namespace strake::layers {
namespace fs = std::filesystem;
using base::Digest;
using base::Error;
using base::ErrorCode;
using base::FileDescriptor;
using base::system_error;

namespace {

/// Dirty pages are handed to the disk in steps of this size, so that the final fdatasync finds
/// little left to wait for.
constexpr std::uint64_t kWritebackBytes = 8 << 20;

std::string shown(const Digest& digest) {
  return "blob " + digest.str();
}

Error absent(const Digest& digest) {
  return Error(ErrorCode::not_found, shown(digest) + " is not in the store");
}

/// Passes a blob on as long as it is right, and has it set aside if it turns out not to be.
class StoredBlob final : public base::ByteSource {
 public:
  StoredBlob(const BlobStore& store, const oci::Descriptor& blob, FileDescriptor file)
      : store_(store),
        digest_(blob.digest),
        verified_(std::make_unique<base::FileSource>(std::move(file), shown(blob.digest)),
                  blob.digest, blob.size, shown(blob.digest)) {}

  std::size_t read(std::span<std::byte> buffer) override {
    try {
      return verified_.read(buffer);
    } catch (Error& error) {
      if (error.code() == ErrorCode::corrupt) store_.set_aside(digest_);
      throw;
    }
  }

 private:
  const BlobStore& store_;
  Digest digest_;
  base::VerifyingSource verified_;
};

}  // namespace

BlobStore::BlobStore(const Store& store)
    : store_(&store),
      directory_(::open(store.blobs().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) {
  if (!directory_) throw system_error(errno, "open", store.blobs().native());
}

std::optional<std::uint64_t> BlobStore::size(const Digest& digest) const {
  struct ::stat status;
  if (::fstatat(directory_.get(), digest.hex().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::nullopt;
    throw system_error(errno, "look for", shown(digest));
  }
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_size);
}

FileDescriptor BlobStore::open_file(const oci::Descriptor& blob) const {
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  FileDescriptor file(::openat(directory_.get(), blob.digest.hex().c_str(), kFlags));
  if (!file) {
    if (errno == ENOENT || errno == ELOOP) throw absent(blob.digest);
    throw system_error(errno, "open", shown(blob.digest));
  }
  struct ::stat status;
  if (::fstat(file.get(), &status) != 0) throw system_error(errno, "look at", shown(blob.digest));
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != blob.size) {
    set_aside(blob.digest);
    throw absent(blob.digest);
  }
  return file;
}

std::unique_ptr<base::ByteSource> BlobStore::open(const oci::Descriptor& blob) const {
  return std::make_unique<StoredBlob>(*this, blob, open_file(blob));
}

std::unique_ptr<base::ByteSource> BlobStore::open_at(const oci::Descriptor& blob,
                                                     std::uint64_t offset) const {
  FileDescriptor file = open_file(blob);
  if (::lseek(file.get(), static_cast<off_t>(offset), SEEK_SET) < 0)
    throw system_error(errno, "read", shown(blob.digest));
  return std::make_unique<base::FileSource>(std::move(file), shown(blob.digest));
}

std::optional<std::string> BlobStore::read(const Digest& digest, std::size_t limit_bytes) const {
  const std::optional<std::uint64_t> size_bytes = size(digest);
  if (!size_bytes) return std::nullopt;
  try {
    const auto source = open({.media_type = "", .digest = digest, .size = *size_bytes});
    return base::read_all(*source, limit_bytes, shown(digest));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found && error.code() != ErrorCode::corrupt) throw;
    base::log_warning(std::string("ignoring a damaged blob: ") + error.what());
    return std::nullopt;
  }
}

oci::Descriptor BlobStore::put(base::ByteSource& bytes, std::string media_type) const {
  BlobWriter blob = writer();
  base::copy(bytes, blob);
  return blob.commit(std::move(media_type));
}

oci::Descriptor BlobStore::put(std::string_view bytes, std::string media_type) const {
  const Digest digest = Digest::of(bytes);
  if (size(digest) == bytes.size())
    return {.media_type = std::move(media_type), .digest = digest, .size = bytes.size()};
  BlobWriter blob = writer();
  blob.write(base::bytes_of(bytes));
  return blob.commit(std::move(media_type));
}

BlobWriter BlobStore::writer() const {
  const fs::path ingest = store_->ingest();
  FileDescriptor file(::open(ingest.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600));
  if (file) return BlobWriter(*this, std::move(file), "", base::TempDirectory());
  // Some file systems cannot keep a file without a name.
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT)
    throw system_error(errno, "create a file in", ingest.native());
  base::TempDirectory directory = store_->make_ingest("blob-");
  const fs::path name = directory.path() / "blob";
  file = FileDescriptor(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) throw system_error(errno, "create", name.native());
  return BlobWriter(*this, std::move(file), name, std::move(directory));
}

PartialBlob BlobStore::resume(const oci::Descriptor& expected) const {
  const fs::path name = store_->ingest() / "partial" / expected.digest.hex();
  base::FileLock lock(name, base::FileLock::Mode::exclusive);
  FileDescriptor file(::open(name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!file) throw system_error(errno, "open", name.native());
  BlobWriter writer(*this, std::move(file), name, base::TempDirectory());
  writer.take_existing();
  // Not what was asked for, whatever it is.
  if (writer.size_bytes() > expected.size) writer.truncate();
  return PartialBlob(std::move(lock), std::move(writer), expected);
}

std::vector<BlobStore::Entry> BlobStore::list() const {
  const std::string subject = store_->blobs().native();
  const FileDescriptor directory(
      ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open", subject);
  std::vector<Entry> entries;
  for (const std::string& name : base::list_directory(directory.get(), subject)) {
    struct ::stat status;
    if (::fstatat(directory.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISREG(status.st_mode) || name.size() != 64) continue;
    entries.push_back({Digest::from_hex(name), static_cast<std::uint64_t>(status.st_size),
                       status.st_mtim.tv_sec});
  }
  return entries;
}

void BlobStore::remove(const Digest& digest) const {
  if (::unlinkat(directory_.get(), digest.hex().c_str(), 0) != 0 && errno != ENOENT)
    throw system_error(errno, "remove", shown(digest));
}

void BlobStore::set_aside(const Digest& digest) const {
  base::log_warning(shown(digest) + " is damaged: moved to " + store_->quarantine().native());
  store_->set_aside(store_->blobs() / digest.hex());
}

BlobWriter::BlobWriter(const BlobStore& store, FileDescriptor file, fs::path name,
                       base::TempDirectory directory)
    : store_(&store),
      file_(std::move(file)),
      name_(std::move(name)),
      directory_(std::move(directory)) {}

void BlobWriter::write(std::span<const std::byte> bytes) {
  base::write_full(file_.get(), bytes, store_->store_->ingest().native());
  sha256_.update(bytes);
  size_bytes_ += bytes.size();
  if (size_bytes_ - flushed_bytes_ < kWritebackBytes) return;
  // Only a hint: what it does not do, fdatasync does.
  ::sync_file_range(file_.get(), static_cast<off_t>(flushed_bytes_),
                    static_cast<off_t>(size_bytes_ - flushed_bytes_), SYNC_FILE_RANGE_WRITE);
  flushed_bytes_ = size_bytes_;
}

/// Counts and hashes what an earlier process wrote, and goes on behind it.
void BlobWriter::take_existing() {
  std::vector<std::byte> buffer(base::kStreamBufferBytes);
  while (const std::size_t count = base::read_some(file_.get(), buffer, name_.native())) {
    sha256_.update(std::span(buffer).first(count));
    size_bytes_ += count;
  }
  flushed_bytes_ = size_bytes_;
}

void BlobWriter::truncate() {
  if (::ftruncate(file_.get(), 0) != 0 || ::lseek(file_.get(), 0, SEEK_SET) != 0)
    throw system_error(errno, "truncate", name_.native());
  sha256_ = base::Sha256();
  size_bytes_ = flushed_bytes_ = 0;
}

oci::Descriptor BlobWriter::commit(std::string media_type, const oci::Descriptor* expected) {
  const Digest digest = sha256_.finish();
  if (expected != nullptr && (digest != expected->digest || size_bytes_ != expected->size))
    throw Error(ErrorCode::corrupt, shown(expected->digest) + " is not what was promised: got " +
                                        digest.str() + " (" + std::to_string(size_bytes_) +
                                        " bytes), want " + std::to_string(expected->size) +
                                        " bytes");
  const std::optional<std::uint64_t> present = store_->size(digest);
  if (present && *present != size_bytes_) store_->set_aside(digest);
  if (present != size_bytes_) publish(digest);
  return {.media_type = std::move(media_type), .digest = digest, .size = size_bytes_};
}

/// Content first, then the name, then the directory that holds the name: after a power cut the name
/// is absent or stands for all the bytes. An fsync error is final: the kernel reports a lost page
/// once, so trying again would only hide it.
void BlobWriter::publish(const Digest& digest) {
  const std::string name = digest.hex();
  const int directory = store_->directory_.get();
  if (::fchmod(file_.get(), 0444) != 0 || ::fdatasync(file_.get()) != 0)
    throw system_error(errno, "write", shown(digest));

  int result;
  if (name_.empty()) {
    const std::string unnamed = "/proc/self/fd/" + std::to_string(file_.get());
    result = ::linkat(AT_FDCWD, unnamed.c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW);
    if (result != 0 && errno == ENOENT)  // no /proc here
      result = ::linkat(file_.get(), "", directory, name.c_str(), AT_EMPTY_PATH);
  } else {
    result = ::renameat(AT_FDCWD, name_.c_str(), directory, name.c_str());
  }
  // Another process may have stored the same bytes meanwhile.
  if (result != 0 && errno != EEXIST) throw system_error(errno, "store", shown(digest));
  if (::fsync(directory) != 0) throw system_error(errno, "store", shown(digest));
}

PartialBlob::PartialBlob(base::FileLock lock, BlobWriter writer, oci::Descriptor expected)
    : lock_(std::move(lock)), writer_(std::move(writer)), expected_(std::move(expected)) {}

PartialBlob::~PartialBlob() {
  // Where nothing came, nothing is worth keeping. (Moved-from objects have no lock.)
  if (lock_ && writer_.size_bytes() == 0) ::unlink(writer_.name_.c_str());
}

void PartialBlob::restart() {
  writer_.truncate();
}

oci::Descriptor PartialBlob::commit() {
  try {
    oci::Descriptor blob = writer_.commit(expected_.media_type, &expected_);
    ::unlink(writer_.name_.c_str());  // still there if the blob was stored by another way meanwhile
    return blob;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::corrupt) writer_.truncate();
    throw;
  }
}

}  // namespace strake::layers
