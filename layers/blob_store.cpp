// Writing a blob waits for no disk. So a name under this boot's directory stands for all the bytes
// as long as the boot lasts, and for whatever reached the disk afterwards: after a power cut a file
// may be short or full of zeros, and only its digest tells. Whoever looks for such a blob first
// reads it, and what could be read after a reboot was on the disk: it moves to blobs/sha256, which
// is believed under every boot. Where the kernel does not tell its boot, blobs are synced and go to
// blobs/sha256 at once.

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

/// Of the blobs that are on the disk.
const std::string kDurable = "sha256";

constexpr int kReadFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;

/// Where this process puts blobs.
const std::string& own_directory() {
  return base::boot_id().empty() ? kDurable : base::boot_id();
}

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

std::optional<BlobStore::Found> BlobStore::look(const std::string& directory,
                                                const Digest& digest) const {
  Found found{directory + "/" + digest.hex()};
  struct ::stat status;
  if (::fstatat(directory_.get(), found.path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::nullopt;
    throw system_error(errno, "look for", shown(digest));
  }
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  found.size_bytes = static_cast<std::uint64_t>(status.st_size);
  return found;
}

std::optional<BlobStore::Found> BlobStore::find(const Digest& digest) const {
  if (auto found = look(own_directory(), digest)) return found;
  if (auto found = look(kDurable, digest)) return found;
  if (keep_from_earlier_boot(digest)) return look(kDurable, digest);
  return std::nullopt;
}

/// All that hold blobs, in no order.
std::vector<std::string> BlobStore::directories() const {
  const std::string subject = store_->blobs().native();
  const FileDescriptor directory(
      ::openat(directory_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw system_error(errno, "open", subject);
  return base::list_directory(directory.get(), subject);
}

/// Whether an earlier boot left the blob whole. Two processes may do this at once: one moves it.
bool BlobStore::keep_from_earlier_boot(const Digest& digest) const {
  const std::string durable = kDurable + "/" + digest.hex();
  for (const std::string& boot : directories()) {
    if (boot == kDurable || boot == own_directory()) continue;
    const std::string path = boot + "/" + digest.hex();
    FileDescriptor file(::openat(directory_.get(), path.c_str(), kReadFlags));
    if (!file) continue;
    base::HashingSink hash;
    base::FileSource source(std::move(file), shown(digest));
    base::copy(source, hash);
    if (hash.finish() != digest) {
      base::log_debug(shown(digest) + " did not reach the disk before the machine stopped");
      ::unlinkat(directory_.get(), path.c_str(), 0);
    } else if (::renameat(directory_.get(), path.c_str(), directory_.get(), durable.c_str()) == 0 ||
               errno == ENOENT) {
      return true;
    } else {
      throw system_error(errno, "keep", shown(digest));
    }
  }
  return false;
}

std::optional<std::uint64_t> BlobStore::size(const Digest& digest) const {
  const std::optional<Found> found = find(digest);
  return found ? std::optional(found->size_bytes) : std::nullopt;
}

bool BlobStore::wrote(const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  return written_.contains(digest);
}

FileDescriptor BlobStore::open_file(const oci::Descriptor& blob) const {
  const std::optional<Found> found = find(blob.digest);
  if (!found) throw absent(blob.digest);
  FileDescriptor file(::openat(directory_.get(), found->path.c_str(), kReadFlags));
  if (!file) {
    if (errno == ENOENT || errno == ELOOP) throw absent(blob.digest);
    throw system_error(errno, "open", shown(blob.digest));
  }
  if (found->size_bytes != blob.size) {
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
  FileDescriptor file(::open(ingest.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file) return BlobWriter(*this, std::move(file), "", base::TempDirectory());
  // Some file systems cannot keep a file without a name.
  if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL && errno != ENOENT)
    throw system_error(errno, "create a file in", ingest.native());
  base::TempDirectory directory = store_->make_ingest("blob-");
  const fs::path name = directory.path() / "blob";
  file = FileDescriptor(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
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
  std::vector<Entry> entries;
  for (const std::string& name : directories()) {
    const FileDescriptor directory(
        ::openat(directory_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) continue;
    for (const std::string& hex : base::list_directory(directory.get(), name)) {
      struct ::stat status;
      if (::fstatat(directory.get(), hex.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (!S_ISREG(status.st_mode) || hex.size() != 64) continue;
      entries.push_back({Digest::from_hex(hex), static_cast<std::uint64_t>(status.st_size),
                         status.st_mtim.tv_sec});
    }
  }
  return entries;
}

void BlobStore::remove(const Digest& digest) const {
  for (const std::string& directory : directories()) {
    const std::string path = directory + "/" + digest.hex();
    if (::unlinkat(directory_.get(), path.c_str(), 0) != 0 && errno != ENOENT)
      throw system_error(errno, "remove", shown(digest));
    // That of an earlier boot goes with its last blob.
    if (directory != kDurable && directory != own_directory())
      ::unlinkat(directory_.get(), directory.c_str(), AT_REMOVEDIR);
  }
}

void BlobStore::set_aside(const Digest& digest) const {
  base::log_warning(shown(digest) + " is damaged: moved to " + store_->quarantine().native());
  for (const std::string& directory : {own_directory(), kDurable})
    store_->set_aside(store_->blobs() / directory / digest.hex());
}

BlobWriter::BlobWriter(const BlobStore& store, FileDescriptor file, fs::path name,
                       base::TempDirectory directory)
    : store_(&store),
      file_(std::move(file)),
      name_(std::move(name)),
      directory_(std::move(directory)) {}

BlobWriter::~BlobWriter() {
  if (growing_) growing_->abandon();
}

void BlobWriter::write(std::span<const std::byte> bytes) {
  base::write_full(file_.get(), bytes, store_->store_->ingest().native());
  size_bytes_ += bytes.size();
  if (growing_) growing_->grown_to(size_bytes_);
  sha256_.update(bytes);
}

std::shared_ptr<base::GrowingFile> BlobWriter::growing() {
  if (!growing_) {
    growing_ = std::make_shared<base::GrowingFile>(file_.duplicate());
    growing_->grown_to(size_bytes_);
  }
  return growing_;
}

/// Counts and hashes what an earlier process wrote, and goes on behind it.
void BlobWriter::take_existing() {
  std::vector<std::byte> buffer(base::kStreamBufferBytes);
  while (const std::size_t count = base::read_some(file_.get(), buffer, name_.native())) {
    sha256_.update(std::span(buffer).first(count));
    size_bytes_ += count;
  }
}

void BlobWriter::truncate() {
  if (::ftruncate(file_.get(), 0) != 0 || ::lseek(file_.get(), 0, SEEK_SET) != 0)
    throw system_error(errno, "truncate", name_.native());
  sha256_ = base::Sha256();
  size_bytes_ = 0;
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
  if (growing_) growing_->finish(size_bytes_, digest);
  return {.media_type = std::move(media_type), .digest = digest, .size = size_bytes_};
}

void BlobWriter::publish(const Digest& digest) {
  // Content first, then the name, then the directory that holds the name. An fsync error is final:
  // the kernel reports a lost page once, so trying again would only hide it.
  const bool synced = own_directory() == kDurable;
  if (::fchmod(file_.get(), 0444) != 0 || (synced && ::fdatasync(file_.get()) != 0))
    throw system_error(errno, "write", shown(digest));
  const int directory = store_->directory_.get();
  const std::string path = own_directory() + "/" + digest.hex();
  int failure = give_name(directory, path);
  if (failure == ENOENT) {  // the first blob of this boot
    if (::mkdirat(directory, own_directory().c_str(), 0700) != 0 && errno != EEXIST)
      throw system_error(errno, "create directory", own_directory());
    failure = give_name(directory, path);
  }
  // Another process may have stored the same bytes meanwhile.
  if (failure != 0 && failure != EEXIST) throw system_error(failure, "store", shown(digest));
  if (synced) {
    const FileDescriptor durable(::openat(directory, kDurable.c_str(), O_RDONLY | O_CLOEXEC));
    if (!durable || ::fsync(durable.get()) != 0) throw system_error(errno, "store", shown(digest));
  }
  const std::lock_guard lock(store_->mutex_);
  store_->written_.insert(digest);
}

/// 0 or an errno.
int BlobWriter::give_name(int directory, const std::string& path) const {
  int result;
  if (name_.empty()) {
    const std::string unnamed = "/proc/self/fd/" + std::to_string(file_.get());
    result = ::linkat(AT_FDCWD, unnamed.c_str(), directory, path.c_str(), AT_SYMLINK_FOLLOW);
    if (result != 0 && errno == ENOENT)  // no such directory, or no /proc here
      result = ::linkat(file_.get(), "", directory, path.c_str(), AT_EMPTY_PATH);
  } else {
    result = ::renameat(AT_FDCWD, name_.c_str(), directory, path.c_str());
  }
  return result == 0 ? 0 : errno;
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
