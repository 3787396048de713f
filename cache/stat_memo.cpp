#include "cache/stat_memo.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"

// The file, in the byte order of the machine:
//   Header                       32 bytes, with its own checksum
//   u32 starts[2^bits + 1]       the entries whose hash begins with the bits i are those from
//                                starts[i] to before starts[i + 1]
//                                (4 bytes of padding if these are an odd number)
//   Entry[count]                 88 bytes each, by hash, each with its own checksum
//
// A file is only ever replaced by rename, so a mapped one neither changes nor shrinks. It is not
// synced: after a power cut the header, the size or the entries' checksums say what is left of it.
// Of two processes that save at once the last one wins; the other's files are read again next time.

namespace strake::cache {

struct StatMemo::Entry {
  FileStamp stamp;
  base::Digest::Bytes digest;
  std::uint64_t plain;  // 0 or 1
  std::uint64_t checksum;
};

namespace {

constexpr std::uint64_t kMagic = 0x6f6d656d6b727473;  // "strkmemo" on a little-endian machine
constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kInodesTogether = 8;
constexpr unsigned kMaxBits = 24;
/// A memo up to this size keeps what it has: sorting out would save nothing.
constexpr std::size_t kSmallMemo = 4096;

struct Header {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t bits;
  std::uint64_t count;
  std::uint64_t checksum;
};
static_assert(sizeof(Header) == 32 && sizeof(FileStamp) == 40);

/// Not for foreign input: tells apart what damage makes different, and spreads inode numbers.
std::uint64_t mixed(std::uint64_t seed, std::uint64_t word) {
  seed = (seed ^ word) * 0x9E3779B97F4A7C15;
  seed ^= seed >> 32;
  seed *= 0xD6E8FEB86659FD93;
  return seed ^ (seed >> 29);
}

/// The same for inodes next to each other, which files of a directory often have: what is looked up
/// together lies together.
std::uint64_t hash_of(const FileStamp& stamp) {
  return mixed(mixed(1, stamp.device), stamp.inode / kInodesTogether);
}

std::uint64_t checksum_of(const FileStamp& stamp, const base::Digest::Bytes& digest,
                          std::uint64_t plain) {
  const auto words = std::bit_cast<std::array<std::uint64_t, 5>>(stamp);
  const auto digest_words = std::bit_cast<std::array<std::uint64_t, 4>>(digest);
  std::uint64_t sum = mixed(2, plain);
  for (const std::uint64_t word : words) sum = mixed(sum, word);
  for (const std::uint64_t word : digest_words) sum = mixed(sum, word);
  return sum;
}

std::uint64_t checksum_of(const Header& header) {
  return mixed(mixed(mixed(3, header.version), header.bits), header.count);
}

std::size_t starts_bytes(unsigned bits) {
  const std::size_t elements = (std::size_t{1} << bits) + 1;
  return (elements * sizeof(std::uint32_t) + 7) & ~std::size_t{7};
}

std::size_t slot_of(std::uint64_t hash, unsigned bits) {
  return bits == 0 ? 0 : static_cast<std::size_t>(hash >> (64 - bits));
}

template <typename T>
void append_bytes(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::int64_t nanoseconds(const struct ::timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

/// A memo file, mapped and checked as far as its header goes.
class StatMemo::Mapping {
 public:
  static std::unique_ptr<Mapping> open(const std::filesystem::path& file) {
    const base::FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    struct ::stat status;
    if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return nullptr;
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size < sizeof(Header)) return nullptr;
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (memory == MAP_FAILED) return nullptr;
    std::unique_ptr<Mapping> mapping(new Mapping(static_cast<const std::byte*>(memory), size));
    return mapping->is_sound() ? std::move(mapping) : nullptr;
  }

  ~Mapping() { ::munmap(const_cast<std::byte*>(memory_), size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  std::span<const Entry> entries() const {
    const std::byte* first = memory_ + sizeof(Header) + starts_bytes(header().bits);
    return {reinterpret_cast<const Entry*>(first), static_cast<std::size_t>(header().count)};
  }

  /// The entries that may be about the file of `stamp`.
  std::span<const Entry> candidates(const FileStamp& stamp) const {
    const auto* starts = reinterpret_cast<const std::uint32_t*>(memory_ + sizeof(Header));
    const std::size_t slot = slot_of(hash_of(stamp), header().bits);
    const std::size_t first = starts[slot];
    const std::size_t last = starts[slot + 1];
    if (first > last || last > header().count) return {};
    return entries().subspan(first, last - first);
  }

 private:
  Mapping(const std::byte* memory, std::size_t size) : memory_(memory), size_(size) {}

  const Header& header() const { return *reinterpret_cast<const Header*>(memory_); }

  bool is_sound() const {
    const Header& head = header();
    return head.magic == kMagic && head.version == kVersion && head.bits <= kMaxBits &&
           head.checksum == checksum_of(head) && head.count <= size_ / sizeof(Entry) &&
           size_ == sizeof(Header) + starts_bytes(head.bits) + head.count * sizeof(Entry);
  }

  const std::byte* memory_;
  std::size_t size_;
};

FileStamp stamp_of(const struct ::stat& status) {
  return {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size),
          nanoseconds(status.st_mtim), nanoseconds(status.st_ctim)};
}

StatMemo::StatMemo() = default;

StatMemo::StatMemo(std::filesystem::path file)
    : file_(std::move(file)), loaded_(Mapping::open(file_)) {
  if (loaded_) seen_ = std::make_unique<std::atomic<bool>[]>(loaded_->entries().size());
}

StatMemo::~StatMemo() = default;

std::filesystem::path StatMemo::file_for(const std::filesystem::path& directory,
                                         const std::filesystem::path& root) {
  return directory / base::Digest::of(root.native()).hex().substr(0, 32);
}

const StatMemo::Entry* StatMemo::find_loaded(const FileStamp& stamp) const {
  if (!loaded_) return nullptr;
  for (const Entry& entry : loaded_->candidates(stamp))
    if (entry.stamp == stamp &&
        entry.checksum == checksum_of(entry.stamp, entry.digest, entry.plain))
      return &entry;
  return nullptr;
}

std::optional<base::Digest> StatMemo::find(const FileStamp& stamp) const {
  const std::optional<KnownFile> known = look_up(stamp);
  if (!known) return std::nullopt;
  return known->content;
}

std::optional<KnownFile> StatMemo::look_up(const FileStamp& stamp) const {
  if (const Entry* entry = find_loaded(stamp)) {
    seen_[entry - loaded_->entries().data()].store(true, std::memory_order_relaxed);
    return KnownFile{base::Digest(entry->digest), entry->plain != 0};
  }
  if (!any_added_.load(std::memory_order_acquire)) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto added = added_.find(stamp);
  if (added == added_.end()) return std::nullopt;
  return added->second;
}

void StatMemo::remember(const FileStamp& stamp, const base::Digest& digest, Time read_at,
                        bool plain) {
  using std::chrono::nanoseconds;
  const nanoseconds newest(std::max(stamp.mtime_ns, stamp.ctime_ns));
  const auto safe =
      std::chrono::duration_cast<nanoseconds>(read_at.time_since_epoch()) - kRacyMargin;
  if (newest >= safe) return;
  const std::lock_guard lock(mutex_);
  unsaved_ |= added_.insert_or_assign(stamp, KnownFile{digest, plain}).second;
  any_added_.store(true, std::memory_order_release);
}

std::vector<StatMemo::Entry> StatMemo::entries_to_save() const {
  std::vector<Entry> kept, unseen;
  for (const auto& [stamp, file] : added_)
    kept.push_back({stamp, file.content.bytes(), file.plain,
                    checksum_of(stamp, file.content.bytes(), file.plain)});

  const std::span<const Entry> loaded = loaded_ ? loaded_->entries() : std::span<const Entry>();
  for (std::size_t i = 0; i < loaded.size(); ++i) {
    const FileStamp& stamp = loaded[i].stamp;
    // Another version of the same file was added: this one will not be seen again.
    const auto newer = added_.lower_bound({.device = stamp.device, .inode = stamp.inode});
    if (newer != added_.end() && newer->first.device == stamp.device &&
        newer->first.inode == stamp.inode)
      continue;
    if (loaded[i].checksum != checksum_of(stamp, loaded[i].digest, loaded[i].plain)) continue;
    (seen_[i].load(std::memory_order_relaxed) ? kept : unseen).push_back(loaded[i]);
  }
  if (unseen.size() <= kept.size() || unseen.size() + kept.size() <= kSmallMemo)
    kept.insert(kept.end(), unseen.begin(), unseen.end());
  std::ranges::sort(kept, [](const Entry& a, const Entry& b) {
    const std::uint64_t left = hash_of(a.stamp), right = hash_of(b.stamp);
    return left != right ? left < right : a.stamp < b.stamp;
  });
  return kept;
}

void StatMemo::save() {
  const std::lock_guard lock(mutex_);
  if (file_.empty() || !unsaved_) return;
  const std::vector<Entry> entries = entries_to_save();

  Header header{.magic = kMagic, .version = kVersion, .count = entries.size()};
  header.bits = std::min<unsigned>(
      static_cast<unsigned>(std::bit_width(entries.size() / (kInodesTogether / 2))), kMaxBits);
  header.checksum = checksum_of(header);

  std::string content;
  content.reserve(sizeof header + starts_bytes(header.bits) + entries.size() * sizeof(Entry));
  append_bytes(content, header);
  std::uint32_t next = 0;
  for (std::size_t slot = 0; slot <= std::size_t{1} << header.bits; ++slot) {
    while (next < entries.size() && slot_of(hash_of(entries[next].stamp), header.bits) < slot)
      ++next;
    append_bytes(content, next);
  }
  content.resize(sizeof header + starts_bytes(header.bits));
  for (const Entry& entry : entries) append_bytes(content, entry);

  base::make_directories(file_.parent_path());
  base::write_file_atomically(file_, content, 0600, base::Durability::none);
  unsaved_ = false;
}

std::size_t StatMemo::size() const {
  const std::lock_guard lock(mutex_);
  return added_.size() + (loaded_ ? loaded_->entries().size() : 0);
}

}  // namespace strake::cache
