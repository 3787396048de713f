#include "registry/blob_download.h"

#include <charconv>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/registry_error.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// An attempt that brought this much is worth others, however many failed before.
constexpr std::uint64_t kProgressBytes = 1 << 20;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (text.empty() || error != std::errc() || end != text.end()) return std::nullopt;
  return value;
}

/// Whether a Content-Range is "bytes <begin>-<last>/<size>", where the size may be "*".
bool is_rest(std::string_view range, std::uint64_t begin, std::uint64_t size) {
  const std::string prefix =
      "bytes " + std::to_string(begin) + "-" + std::to_string(size - 1) + "/";
  if (!range.starts_with(prefix)) return false;
  range.remove_prefix(prefix.size());
  return range == "*" || number(range) == size;
}

}  // namespace

class BlobDownload::Part final : public base::ByteSink {
 public:
  Part(BlobDownload& download, std::uint64_t begin)
      : download_(download), known_bytes_(download.received_bytes_ - begin) {}

  void write(std::span<const std::byte> bytes) override {
    const std::size_t known = std::min<std::uint64_t>(known_bytes_, bytes.size());
    known_bytes_ -= known;
    download_.receive(bytes.subspan(known));
  }

 private:
  BlobDownload& download_;
  std::uint64_t known_bytes_;  // still to be skipped
};

BlobDownload::BlobDownload(Session& session, const oci::Repository& from,
                           const oci::Descriptor& blob, base::ByteSink& to)
    : session_(session), from_(from), blob_(blob), to_(to) {}

std::string BlobDownload::what() const {
  return "blob " + blob_.digest.str() + " of " + base::quoted(from_.str());
}

Call BlobDownload::request() const {
  Call call{.repository = from_,
            .target = "/v2/" + from_.path + "/blobs/" + blob_.digest.str(),
            .scopes = {scope_of(from_, Access::pull)}};
  if (received_bytes_ > 0 && ranges_) {
    call.headers.add("Range", "bytes=" + std::to_string(received_bytes_) + "-");
  }
  return call;
}

void BlobDownload::run(std::stop_token stop) {
  Retry retry = session_.new_retry();
  for (;;) {
    const std::uint64_t before = received_bytes_;
    std::optional<HttpResponse> response;
    try {
      response = attempt(stop);
      if (response->ok()) return finish();
      if (response->status == 416 && std::exchange(ranges_, false)) continue;
    } catch (const Error& e) {
      if (e.code() != ErrorCode::unavailable) throw;
      if (received_bytes_ >= before + kProgressBytes) retry.progressed();
      if (received_bytes_ == blob_.size && blob_.size > 0) return finish();
      base::log_debug("download interrupted: " + what() + " at " + std::to_string(received_bytes_) +
                      " of " + std::to_string(blob_.size) + " bytes: " + e.what());
      if (!retry.wait(stop)) throw;
      continue;
    }
    if (!is_retryable_status(response->status) || !retry.wait(*response, stop)) {
      throw registry_error("cannot fetch " + what(), *response);
    }
  }
}

HttpResponse BlobDownload::attempt(std::stop_token stop) {
  Call call = request();
  std::optional<Part> part;
  call.route = [&](const HttpResponse& head) {
    part.emplace(*this, begin_of(head));
    return &*part;
  };
  return session_.send(call, std::move(stop));
}

/// The offset at which the body of a successful response begins.
std::uint64_t BlobDownload::begin_of(const HttpResponse& head) {
  if (head.status == 206) {
    const bool asked = received_bytes_ > 0 && ranges_;
    if (asked && is_rest(head.headers.get("Content-Range"), received_bytes_, blob_.size)) {
      return received_bytes_;
    }
    ranges_ = false;  // from the beginning, then
    throw Error(ErrorCode::unavailable,
                "registry sent another range of " + what() + " than it was asked for");
  }
  const std::optional<std::uint64_t> length = number(head.headers.get("Content-Length"));
  if (length && *length != blob_.size) {
    throw Error(ErrorCode::corrupt, what() + " has another size: the registry announces " +
                                        std::to_string(*length) + " bytes, the manifest wants " +
                                        std::to_string(blob_.size));
  }
  return 0;
}

void BlobDownload::receive(std::span<const std::byte> bytes) {
  if (bytes.size() > blob_.size - received_bytes_) {
    throw Error(ErrorCode::corrupt, what() + " is longer than the " + std::to_string(blob_.size) +
                                        " bytes it should be");
  }
  if (bytes.empty()) return;
  sha256_.update(bytes);
  received_bytes_ += bytes.size();
  to_.write(bytes);
}

void BlobDownload::finish() {
  if (received_bytes_ != blob_.size) {
    throw Error(ErrorCode::corrupt, what() + " is too short: got " +
                                        std::to_string(received_bytes_) + " bytes, want " +
                                        std::to_string(blob_.size));
  }
  const base::Digest digest = sha256_.finish();
  if (digest != blob_.digest) {
    throw Error(ErrorCode::corrupt, what() + " has other content: its digest is " + digest.str());
  }
}

}  // namespace strake::registry
