#include "layers/archive/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <langinfo.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "layers/archive/entry_policy.h"
#include "layers/archive/tar_feed.h"
#include "layers/archive/tar_headers.h"
#include "layers/base/error.h"

// libarchive parses headers only: formats, numbers, attributes, checksums. While it does, TarFeed
// hands it single blocks and keeps them, from which parse_headers() takes what libarchive would
// bend (names) or not mention. The data of a file goes from the source to the caller around
// libarchive, which is then told that it was skipped. Sparse files are the exception: their maps
// are libarchive's to read, so their data passes through it.

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::int64_t kMaxMtime = (std::int64_t{1} << 33) - 1;  // what a ustar header can hold
constexpr std::int64_t kMaxId = 0xfffffffe;                      // -1 means "no change" to chown
constexpr std::uint64_t kMaxMajor = (1U << 12) - 1;              // of Linux
constexpr std::uint64_t kMaxMinor = (1U << 20) - 1;
constexpr std::size_t kSparseBufferBytes = 64 * 1024;

EntryType type_of(char flag) {
  switch (flag) {
    case '\0':
    case '0':
    case '7':  // "contiguous": a regular file to everyone
    case 'S':
      return EntryType::file;
    case '1':
      return EntryType::hardlink;
    case '2':
      return EntryType::symlink;
    case '3':
      return EntryType::character_device;
    case '4':
      return EntryType::block_device;
    case '5':
      return EntryType::directory;
    case '6':
      return EntryType::fifo;
    default:
      throw Error(ErrorCode::corrupt,
                  "the tar has an entry of the unknown type " + base::quoted(std::string(1, flag)));
  }
}

std::uint32_t checked_id(std::int64_t id, std::string_view what) {
  if (id < 0 || id > kMaxId)
    throw Error(ErrorCode::corrupt,
                std::string(what) + " " + std::to_string(id) + " is out of range");
  return static_cast<std::uint32_t>(id);
}

std::uint32_t checked_device(std::uint64_t number, std::uint64_t max) {
  if (number > max)
    throw Error(ErrorCode::corrupt, "device number " + std::to_string(number) + " is out of range");
  return static_cast<std::uint32_t>(number);
}

std::string checked_target(const RawHeaders& raw, EntryType type, const Limits& limits) {
  const std::string& target = raw.link_target;
  if (target.empty()) throw Error(ErrorCode::corrupt, "the link has no target");
  if (target.size() > limits.path_bytes)
    throw Error(ErrorCode::corrupt, "the link's target is too long: got " +
                                        std::to_string(target.size()) + " bytes, the limit is " +
                                        std::to_string(limits.path_bytes));
  return type == EntryType::hardlink ? normalise_entry_path(target, limits) : target;
}

struct timespec clamped_mtime(struct archive_entry* from) {
  if (!archive_entry_mtime_is_set(from)) return {};
  const std::int64_t seconds = archive_entry_mtime(from);
  if (seconds < 0) return {};
  if (seconds > kMaxMtime) return {.tv_sec = kMaxMtime, .tv_nsec = 0};
  return {.tv_sec = seconds,
          .tv_nsec = std::clamp(archive_entry_mtime_nsec(from), 0L, 999'999'999L)};
}

}  // namespace

class TarReader::Impl {
 public:
  Impl(std::unique_ptr<base::PieceSource> own, const Limits& limits) : Impl(*own, limits) {
    own_source_ = std::move(own);
  }
  Impl(base::PieceSource& source, const Limits& limits)
      : limits_(limits), feed_(source, limits), data_(*this), archive_(archive_read_new()) {
    if (!archive_) throw Error(ErrorCode::system, "cannot read a tar: out of memory");
    archive_read_support_filter_none(archive_.get());
    archive_read_support_format_tar(archive_.get());
    // Names are bytes. libarchive converts those of pax headers from a declared charset into the
    // locale's; declaring the locale's own is how to ask for none. "._x" is a file like any other.
    const std::string options =
        "tar:hdrcharset=" + std::string(nl_langinfo(CODESET)) + ",tar:!mac-ext";
    require(archive_read_set_options(archive_.get(), options.c_str()));
    archive_read_set_callback_data(archive_.get(), this);
    archive_read_set_read_callback(archive_.get(), read_callback);
    archive_read_set_skip_callback(archive_.get(), skip_callback);
  }

  std::optional<TarEntry> next();
  std::size_t read_data(std::span<std::byte> buffer);
  std::span<const std::byte> next_data();
  void drain_to_end() { feed_.drain(); }
  base::ByteSource& data() noexcept { return data_; }
  std::uint64_t dropped_xattrs() const noexcept { return dropped_xattrs_; }

 private:
  struct Data final : base::ByteSource {
    explicit Data(Impl& reader) : reader_(reader) {}
    std::size_t read(std::span<std::byte> buffer) override { return reader_.read_data(buffer); }
    Impl& reader_;
  };
  struct FreeArchive {
    void operator()(struct archive* a) const noexcept { archive_read_free(a); }
  };

  static la_ssize_t read_callback(struct archive*, void* self, const void** block);
  static la_int64_t skip_callback(struct archive*, void* self, la_int64_t request);
  void require(int result);
  TarEntry translate(const RawHeaders& raw, struct archive_entry* parsed);
  void begin_data(const RawHeaders& raw, struct archive_entry* parsed, TarEntry& entry);
  void take_xattrs(struct archive_entry* from, TarEntry& to);
  std::span<const std::byte> next_stored(std::uint64_t most_bytes);
  std::size_t read_sparse(std::span<std::byte> buffer);
  bool next_segment();

  const Limits limits_;
  std::unique_ptr<base::PieceSource> own_source_;
  TarFeed feed_;
  Data data_;
  std::unique_ptr<struct archive, FreeArchive> archive_;
  std::exception_ptr feed_error_;  // what a callback threw, on its way round libarchive
  std::uint64_t entries_ = 0;
  std::uint64_t dropped_xattrs_ = 0;
  std::uint64_t sparse_bytes_ = 0;  // apparent sizes of all sparse files so far
  bool opened_ = false;
  bool ended_ = false;

  // The current entry.
  std::uint64_t data_left_ = 0;
  std::string path_;
  bool sparse_ = false;
  std::span<const std::byte> segment_;  // of a sparse file: stored bytes not yet handed out
  std::uint64_t segment_at_ = 0;        // where they belong
  std::uint64_t position_ = 0;
  std::vector<std::byte> sparse_buffer_;  // for next_data()
};

la_ssize_t TarReader::Impl::read_callback(struct archive*, void* self, const void** block) {
  auto& reader = *static_cast<Impl*>(self);
  if (reader.feed_error_) return ARCHIVE_FATAL;
  try {
    const std::span<const std::byte> bytes = reader.feed_.next_block();
    *block = bytes.data();
    return static_cast<la_ssize_t>(bytes.size());
  } catch (...) {  // the edge to C code
    reader.feed_error_ = std::current_exception();
    return ARCHIVE_FATAL;
  }
}

la_int64_t TarReader::Impl::skip_callback(struct archive*, void* self, la_int64_t request) {
  auto& reader = *static_cast<Impl*>(self);
  try {
    return static_cast<la_int64_t>(reader.feed_.skip(static_cast<std::uint64_t>(request)));
  } catch (...) {  // the edge to C code
    reader.feed_error_ = std::current_exception();
    return 0;  // libarchive asks again and again if it gets an error here; now it reads, and fails
  }
}

/// Turns libarchive's result into an Error.
void TarReader::Impl::require(int result) {
  if (feed_error_) std::rethrow_exception(std::exchange(feed_error_, nullptr));
  if (result == ARCHIVE_OK || result == ARCHIVE_EOF) return;
  const char* why = archive_error_string(archive_.get());
  throw Error(ErrorCode::corrupt, "the tar is malformed or truncated near byte " +
                                      std::to_string(feed_.position()) + ": " +
                                      (why != nullptr ? why : "no reason given"));
}

std::optional<TarEntry> TarReader::Impl::next() {
  if (ended_) return std::nullopt;
  path_.clear();
  try {
    feed_.begin_headers();
    if (!std::exchange(opened_, true)) require(archive_read_open1(archive_.get()));
    struct archive_entry* parsed = nullptr;
    const int result = archive_read_next_header(archive_.get(), &parsed);
    // A warning is about a name that does not fit the locale, or about an ACL: neither is used.
    if (result != ARCHIVE_WARN || feed_error_) require(result);
    if (result == ARCHIVE_EOF) {
      // libarchive takes the end of the stream for an end of the archive.
      if (feed_.headers().empty())
        throw Error(ErrorCode::corrupt, "the tar is truncated: it has no end-of-archive block");
      ended_ = true;
      return std::nullopt;
    }
    if (++entries_ > limits_.entries)
      throw Error(ErrorCode::corrupt,
                  "the tar has more than " + std::to_string(limits_.entries) + " entries");
    const RawHeaders raw = parse_headers(feed_.headers(), limits_);
    path_ = raw.path;
    feed_.forget_headers(raw.sparse ? feed_.headers().size() : raw.length);
    return translate(raw, parsed);
  } catch (Error& error) {
    if (!path_.empty()) error.add_context("reading tar entry " + base::quoted(path_));
    throw;
  }
}

TarEntry TarReader::Impl::translate(const RawHeaders& raw, struct archive_entry* parsed) {
  TarEntry entry;
  entry.path = normalise_entry_path(raw.path, limits_);
  entry.type = type_of(raw.type);
  // An old tar marks a directory by nothing but the "/" at the end of its name.
  if (entry.type == EntryType::file && raw.path.ends_with('/')) entry.type = EntryType::directory;
  if (entry.path == "." && entry.type != EntryType::directory)
    throw Error(ErrorCode::corrupt, "the root entry is not a directory");
  if (entry.type == EntryType::symlink || entry.type == EntryType::hardlink)
    entry.link_target = checked_target(raw, entry.type, limits_);
  entry.mode = archive_entry_perm(parsed) & 07777;
  entry.uid = checked_id(archive_entry_uid(parsed), "user id");
  entry.gid = checked_id(archive_entry_gid(parsed), "group id");
  entry.mtime = clamped_mtime(parsed);
  if (entry.type == EntryType::character_device || entry.type == EntryType::block_device) {
    entry.device_major = checked_device(archive_entry_rdevmajor(parsed), kMaxMajor);
    entry.device_minor = checked_device(archive_entry_rdevminor(parsed), kMaxMinor);
  }
  take_xattrs(parsed, entry);
  begin_data(raw, parsed, entry);
  return entry;
}

void TarReader::Impl::begin_data(const RawHeaders& raw, struct archive_entry* parsed,
                                 TarEntry& entry) {
  if (entry.type != EntryType::file && raw.size_bytes != 0)
    throw Error(ErrorCode::corrupt, "only files can have data, and this entry announces " +
                                        std::to_string(raw.size_bytes) + " bytes");
  entry.size_bytes = raw.size_bytes;
  sparse_ = raw.sparse;
  const std::int64_t size = archive_entry_size(parsed);
  if (sparse_) {
    if (size < 0) throw Error(ErrorCode::corrupt, "the size is negative");
    entry.size_bytes = static_cast<std::uint64_t>(size);
    sparse_bytes_ += entry.size_bytes;
  } else if (static_cast<std::uint64_t>(size) != raw.size_bytes) {
    // Where one reader sees data and the other headers, things can be smuggled.
    throw Error(ErrorCode::corrupt, "the size is ambiguous: it may be " + std::to_string(size) +
                                        " or " + std::to_string(raw.size_bytes) + " bytes");
  }
  if (entry.size_bytes > limits_.uncompressed_bytes || sparse_bytes_ > limits_.uncompressed_bytes)
    throw Error(ErrorCode::corrupt, "the file's size of " + std::to_string(entry.size_bytes) +
                                        " bytes passes the limit of " +
                                        std::to_string(limits_.uncompressed_bytes));
  data_left_ = entry.size_bytes;
  segment_ = {};
  segment_at_ = position_ = 0;
}

void TarReader::Impl::take_xattrs(struct archive_entry* from, TarEntry& to) {
  const auto count = static_cast<std::size_t>(archive_entry_xattr_reset(from));
  if (count > limits_.xattrs)
    throw Error(ErrorCode::corrupt, "too many extended attributes: got " + std::to_string(count) +
                                        ", the limit is " + std::to_string(limits_.xattrs));
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    if (size > limits_.xattr_value_bytes)
      throw Error(ErrorCode::corrupt, "extended attribute " + base::quoted(name) +
                                          " is too long: got " + std::to_string(size) +
                                          " bytes, the limit is " +
                                          std::to_string(limits_.xattr_value_bytes));
    const std::string_view text(static_cast<const char*>(value), size);
    if (std::strlen(name) <= limits_.path_component_bytes && keep_xattr(name, text))
      to.xattrs.emplace_back(name, text);
    else
      ++dropped_xattrs_;
  }
  // libarchive lists them in no stated order, and one that is said twice, twice.
  std::sort(to.xattrs.begin(), to.xattrs.end());
  const auto same_name = [](const base::Xattr& a, const base::Xattr& b) {
    return a.first == b.first;
  };
  if (std::adjacent_find(to.xattrs.begin(), to.xattrs.end(), same_name) != to.xattrs.end())
    throw Error(ErrorCode::corrupt, "an extended attribute is given twice");
}

std::size_t TarReader::Impl::read_data(std::span<std::byte> buffer) {
  buffer = buffer.first(std::min<std::uint64_t>(buffer.size(), data_left_));
  if (buffer.empty()) return 0;
  std::size_t count = 0;
  if (sparse_) {
    count = read_sparse(buffer);
  } else {
    const std::span<const std::byte> bytes = next_stored(buffer.size());
    count = bytes.size();
    std::memcpy(buffer.data(), bytes.data(), count);
  }
  data_left_ -= count;
  return count;
}

std::span<const std::byte> TarReader::Impl::next_data() {
  if (sparse_) {
    sparse_buffer_.resize(kSparseBufferBytes);
    return std::span(sparse_buffer_).first(read_data(sparse_buffer_));
  }
  if (data_left_ == 0) return {};
  const std::span<const std::byte> bytes = next_stored(data_left_);
  data_left_ -= bytes.size();
  return bytes;
}

std::span<const std::byte> TarReader::Impl::next_stored(std::uint64_t most_bytes) {
  const std::span<const std::byte> bytes = feed_.take_around(most_bytes);
  if (bytes.empty())
    throw Error(ErrorCode::corrupt, "the tar is truncated: " + base::quoted(path_) + " lacks " +
                                        std::to_string(data_left_) + " bytes");
  return bytes;
}

std::size_t TarReader::Impl::read_sparse(std::span<std::byte> buffer) {
  // A stored segment may be empty (the marker of the end), hence the loop.
  while (segment_.empty() && segment_at_ == position_ && next_segment()) {
  }
  if (segment_at_ > position_ || segment_.empty()) {  // a hole, at the end or before a segment
    const std::uint64_t hole = segment_.empty() ? buffer.size() : segment_at_ - position_;
    const std::size_t count = std::min<std::uint64_t>(buffer.size(), hole);
    std::memset(buffer.data(), 0, count);
    position_ += count;
    return count;
  }
  const std::size_t count = std::min(buffer.size(), segment_.size());
  std::memcpy(buffer.data(), segment_.data(), count);
  segment_ = segment_.subspan(count);
  position_ += count;
  segment_at_ += count;
  return count;
}

/// Asks libarchive for stored bytes; false if there are no more.
bool TarReader::Impl::next_segment() {
  const void* block = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  const int result = archive_read_data_block(archive_.get(), &block, &size, &offset);
  require(result);
  if (result == ARCHIVE_EOF) {
    segment_at_ = std::numeric_limits<std::uint64_t>::max();
    return false;
  }
  const std::uint64_t end = position_ + data_left_;  // of the file
  if (offset < 0 || static_cast<std::uint64_t>(offset) < position_ ||
      static_cast<std::uint64_t>(offset) > end || size > end - static_cast<std::uint64_t>(offset))
    throw Error(ErrorCode::corrupt,
                "the map of the sparse file " + base::quoted(path_) + " is inconsistent");
  segment_ = {static_cast<const std::byte*>(block), size};
  segment_at_ = static_cast<std::uint64_t>(offset);
  return true;
}

TarReader::TarReader(base::ByteSource& source, const Limits& limits)
    : impl_(std::make_unique<Impl>(std::make_unique<base::BufferedPieces>(source), limits)) {}
TarReader::TarReader(base::PieceSource& source, const Limits& limits)
    : impl_(std::make_unique<Impl>(source, limits)) {}
TarReader::~TarReader() = default;

std::optional<TarEntry> TarReader::next() {
  return impl_->next();
}
base::ByteSource& TarReader::data() {
  return impl_->data();
}
std::span<const std::byte> TarReader::next_data() {
  return impl_->next_data();
}
void TarReader::drain_to_end() {
  impl_->drain_to_end();
}
std::uint64_t TarReader::dropped_xattrs() const noexcept {
  return impl_->dropped_xattrs();
}

}  // namespace strake::layers
