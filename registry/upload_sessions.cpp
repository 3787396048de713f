#include "registry/upload_sessions.h"

#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <system_error>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/oci/json.h"

namespace strake::registry {
namespace {

using base::Error;
using base::FileLock;
namespace fs = std::filesystem;

constexpr std::int64_t kLongestLifeSeconds = 24 * 60 * 60;
constexpr std::size_t kRecordLimitBytes = 64 * 1024;
constexpr std::string_view kLockSuffix = ".lock";

std::int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// nullopt for what is absent, damaged, old, or of another upload.
std::optional<UnfinishedUpload> read_record(const fs::path& file, const std::string& subject) {
  try {
    const auto text = base::read_file(file, kRecordLimitBytes);
    if (!text) return std::nullopt;
    const nlohmann::json record = oci::parse_json(*text, "upload record");
    const std::int64_t age = seconds_now() - record.at("time").get<std::int64_t>();
    if (record.at("subject") != subject || age < 0 || age > kLongestLifeSeconds) {
      return std::nullopt;
    }
    return UnfinishedUpload{record.at("location").get<std::string>(),
                            record.at("offset").get<std::uint64_t>()};
  } catch (const Error& e) {
    base::log_debug(std::string("ignoring an upload record: ") + e.what());
  } catch (const nlohmann::json::exception& e) {
    base::log_debug(std::string("ignoring an upload record: ") + e.what());
  }
  return std::nullopt;
}

bool is_old(const fs::path& file) {
  std::error_code error;
  const auto written = fs::last_write_time(file, error);
  return !error &&
         fs::file_time_type::clock::now() - written > std::chrono::seconds(kLongestLifeSeconds);
}

}  // namespace

UploadSessions::Record::Record(fs::path file, std::string subject, FileLock lock)
    : file_(std::move(file)), subject_(std::move(subject)), lock_(std::move(lock)) {
  found_ = read_record(file_, subject_);
}

void UploadSessions::Record::write(const UnfinishedUpload& upload) {
  if (file_.empty()) return;
  try {
    UploadSessions::write(file_, subject_, upload);
  } catch (const Error& e) {
    base::log_warning(std::string("an interrupted upload could not be resumed: ") + e.what());
    file_.clear();
  }
}

void UploadSessions::write(const fs::path& file, const std::string& subject,
                           const UnfinishedUpload& upload) {
  const nlohmann::json record = {{"subject", subject},
                                 {"location", upload.location},
                                 {"offset", upload.offset_bytes},
                                 {"time", seconds_now()}};
  // After a power cut an older record does as well: the registry is asked anyway.
  base::write_file_atomically(file, record.dump() + "\n", 0600, base::Durability::none);
}

void UploadSessions::Record::remove() noexcept {
  if (file_.empty()) return;
  ::unlink(file_.c_str());
  found_.reset();
}

UploadSessions::Record::~Record() {
  // Whoever waits for this lock notices that its file is gone.
  if (!file_.empty() && lock_ && ::access(file_.c_str(), F_OK) != 0) {
    ::unlink((file_.native() + std::string(kLockSuffix)).c_str());
  }
}

std::optional<UploadSessions::Record> UploadSessions::open(const oci::Repository& repository,
                                                           const base::Digest& blob) const {
  if (directory_.empty()) return Record();
  const std::string subject = blob.str() + " to " + repository.str();
  const fs::path file = directory_ / base::Digest::of(subject).hex();
  try {
    base::make_directories(directory_);
    remove_old();
    auto lock =
        FileLock::try_lock(file.native() + std::string(kLockSuffix), FileLock::Mode::exclusive);
    if (lock) return Record(file, subject, *std::move(lock));
    return std::nullopt;
  } catch (const Error& e) {
    base::log_warning(std::string("interrupted uploads will not be resumed: ") + e.what());
  }
  return Record();
}

/// What processes that never came back left here.
void UploadSessions::remove_old() const {
  std::error_code error;
  for (fs::directory_iterator i(directory_, error), end; !error && i != end; i.increment(error)) {
    const fs::path& path = i->path();
    if (path.extension() == kLockSuffix || !is_old(path)) continue;
    const fs::path lock_file = path.native() + std::string(kLockSuffix);
    if (const auto lock = FileLock::try_lock(lock_file, FileLock::Mode::exclusive)) {
      ::unlink(path.c_str());
      ::unlink(lock_file.c_str());
    }
  }
}

}  // namespace strake::registry
