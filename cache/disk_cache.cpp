#include "cache/disk_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>
#include <string>

#include "cache/record_format.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"
#include "layers/base/files.h"
#include "layers/base/log.h"

namespace strake::cache {
namespace {

namespace fs = std::filesystem;
using std::chrono::system_clock;

/// Enough for nearly all records, so that a hit is one read.
constexpr std::size_t kFirstReadBytes = 32 * 1024;
constexpr std::uint64_t kLargestRecordBytes = 256 << 20;
/// A record's mtime is when it was last used, as exactly as prune needs it.
constexpr std::chrono::hours kUseResolution(24);
constexpr std::string_view kSlots = "slots";

system_clock::time_point time_of(const struct ::timespec& time) {
  return system_clock::time_point(
      std::chrono::duration_cast<system_clock::duration>(std::chrono::seconds(time.tv_sec)));
}

void note_use(int file, const struct ::stat& status) {
  const auto age = system_clock::now() - time_of(status.st_mtim);
  // A store that cannot be written to is still good for reading.
  if (age > kUseResolution || age < -kUseResolution) static_cast<void>(::futimens(file, nullptr));
}

/// The names in `directory` that `keep` accepts, sorted; none if it is not there.
template <typename Predicate>
std::vector<std::string> names_in(const fs::path& directory, Predicate keep) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::string name = at->path().filename().native();
    if (keep(name)) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

bool is_lower_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}
bool is_shard_name(std::string_view name) {
  return name.size() == 2 && is_lower_hex(name);
}
bool is_digest_name(std::string_view name) {
  return name.size() == 64 && is_lower_hex(name);
}

void unlink_if_there(const fs::path& file) {
  if (::unlink(file.c_str()) != 0 && errno != ENOENT)
    throw base::system_error(errno, "remove", file.native());
}

/// Runs `write` again after making `directory` if that was what it missed.
template <typename Write>
void with_directory(const fs::path& directory, Write write) {
  try {
    write();
  } catch (const base::Error& error) {
    if (error.code() != base::ErrorCode::not_found) throw;
    base::make_directories(directory);
    write();
  }
}

/// Makes `link` point to `target`, replacing what was there in one step.
void replace_symlink(const std::string& target, const fs::path& link) {
  const fs::path temporary = link.parent_path() / (".tmp-" + base::random_name());
  if (::symlink(target.c_str(), temporary.c_str()) != 0)
    throw base::system_error(errno, "write", temporary.native());
  if (::rename(temporary.c_str(), link.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    throw base::system_error(reason, "write", link.native());
  }
}

/// The key that the slot symlink `link` names.
std::optional<CacheKey> read_slot(const fs::path& link) {
  std::array<char, 65> target;
  const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
  const std::string_view name(target.data(), length < 0 ? 0 : static_cast<std::size_t>(length));
  if (!is_digest_name(name)) return std::nullopt;
  return CacheKey{base::Digest::from_hex(name)};
}

/// The record in an open file; nullopt if it is damaged.
std::optional<CacheRecord> read_record(int file, const CacheKey& key, std::uint64_t file_bytes,
                                       RecordParts parts) {
  if (file_bytes > kLargestRecordBytes) return std::nullopt;
  const std::string subject = "cache record " + key.digest.hex();
  std::string bytes;
  const auto read_up_to = [&](std::size_t end) {
    const std::size_t begin = bytes.size();
    bytes.resize(end);
    const auto buffer = std::as_writable_bytes(std::span(bytes).subspan(begin));
    bytes.resize(begin + base::pread_full(file, buffer, begin, subject));
  };

  const auto size = static_cast<std::size_t>(file_bytes);
  read_up_to(parts == RecordParts::all ? size : std::min(size, kFirstReadBytes));
  const std::optional<RecordHead> head = parse_record_head(bytes);
  if (!head || head->json_end() > size) return std::nullopt;
  if (head->json_end() > bytes.size()) read_up_to(head->json_end());
  return decode_record(key, *head, bytes, size, parts);
}

}  // namespace

DiskCache::DiskCache(fs::path directory, fs::path locks)
    : directory_(std::move(directory)), locks_(std::move(locks)) {}

fs::path DiskCache::file_of(const CacheKey& key) const {
  const std::string hex = key.digest.hex();
  return directory_ / hex.substr(0, 2) / hex;
}

std::optional<DiskCache::Stored> DiskCache::load(const CacheKey& key, Purpose purpose) {
  const fs::path path = file_of(key);
  try {
    const base::FileDescriptor file(
        ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file && errno == ENOENT) return std::nullopt;
    struct ::stat status;
    if (!file || ::fstat(file.get(), &status) != 0)
      throw base::system_error(errno, "read cache record", path.native());

    const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
    const auto parts = purpose == Purpose::story ? RecordParts::all : RecordParts::without_files;
    std::optional<CacheRecord> record;
    if (S_ISREG(status.st_mode)) record = read_record(file.get(), key, file_bytes, parts);
    if (!record) {
      base::log_debug("removed damaged cache record " + path.native());
      ::unlink(path.c_str());
      return std::nullopt;
    }
    if (purpose == Purpose::hit) note_use(file.get(), status);
    return Stored{key, std::move(*record), file_bytes, time_of(status.st_mtim)};
  } catch (const base::Error& error) {
    // Not the record's fault, so it stays; but whoever owns this disk should know.
    base::log_warning(error.what());
    return std::nullopt;
  }
}

std::optional<CacheRecord> DiskCache::find(const CacheKey& key) {
  std::optional<Stored> stored = load(key, Purpose::hit);
  if (!stored) return std::nullopt;
  return std::move(stored->record);
}

void DiskCache::store(const CacheKey& key, const CacheRecord& record) {
  const std::string bytes = encode_record(key, record);
  const fs::path file = file_of(key);
  with_directory(file.parent_path(),
                 [&] { base::write_file_atomically(file, bytes, 0600, base::Durability::none); });
  const fs::path slots = directory_ / kSlots;
  for (const SlotId& slot : {record.slot, record.operation}) {
    if (slot == SlotId()) continue;
    with_directory(slots, [&] { replace_symlink(key.digest.hex(), slots / slot.digest.hex()); });
  }
}

std::optional<CacheRecord> DiskCache::find_latest(const SlotId& slot) {
  const auto key = read_slot(directory_ / kSlots / slot.digest.hex());
  if (!key) return std::nullopt;
  std::optional<Stored> stored = load(*key, Purpose::story);
  // The same key may have been stored for another place since.
  if (!stored || (stored->record.slot != slot && stored->record.operation != slot))
    return std::nullopt;
  return std::move(stored->record);
}

KeyLock DiskCache::lock(const CacheKey& key, const std::stop_token& stop,
                        const std::function<void()>& on_wait) {
  return KeyLock(locks_ / ("key-" + key.digest.hex()), stop, on_wait);
}

std::vector<DiskCache::Stored> DiskCache::list() {
  std::vector<Stored> all;
  for (const std::string& shard : names_in(directory_, is_shard_name))
    for (const std::string& name : names_in(directory_ / shard, is_digest_name))
      if (auto stored = load({base::Digest::from_hex(name)}, Purpose::listing))
        all.push_back(std::move(*stored));
  return all;
}

void DiskCache::remove(const CacheKey& key) {
  unlink_if_there(file_of(key));
}

void DiskCache::remove_leftovers() {
  for (const std::string& shard : names_in(directory_, is_shard_name)) {
    const fs::path directory = directory_ / shard;
    for (const std::string& name : names_in(directory, std::not_fn(is_digest_name)))
      unlink_if_there(directory / name);
  }
  const fs::path slots = directory_ / kSlots;
  for (const std::string& name : names_in(slots, [](const std::string&) { return true; })) {
    const std::optional<CacheKey> key = read_slot(slots / name);
    if (!key || ::access(file_of(*key).c_str(), F_OK) != 0) unlink_if_there(slots / name);
  }
}

}  // namespace strake::cache
