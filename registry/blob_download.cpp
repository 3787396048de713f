#include "registry/blob_download.h"

#include <algorithm>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/decimal.h"
#include "registry/registry_error.h"
#include "registry/transfers.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// An attempt that brought this much is worth others, however many failed before.
constexpr std::uint64_t kProgressBytes = 1 << 20;
/// How often a place may send something else than the blob.
constexpr int kWrongAnswers = 3;
/// A blob has about so many segments, if they are not below or above the limits: what was fetched
/// ahead is in memory, lost when the process is killed, and must be little of the whole.
constexpr std::uint64_t kSegments = 512;
constexpr std::uint64_t kLeastSegmentBytes = 4 << 20;

/// Whether a Content-Range is "bytes <begin>-<last>/<size>", where the size may be "*".
bool is_range(std::string_view range, std::uint64_t begin, std::uint64_t end, std::uint64_t size) {
  const std::string prefix = "bytes " + std::to_string(begin) + "-" + std::to_string(end - 1) + "/";
  if (!range.starts_with(prefix)) return false;
  range.remove_prefix(prefix.size());
  return range == "*" || parse_decimal(range) == size;
}

std::uint64_t segment_size(std::uint64_t blob_size, std::uint64_t most) {
  return std::clamp(blob_size / kSegments, std::min(kLeastSegmentBytes, most), most);
}

/// Collects a segment.
class SegmentSink final : public base::ByteSink {
 public:
  explicit SegmentSink(std::uint64_t size) : size_(size) {}

  /// To be called once something comes: until then no memory is needed.
  void prepare() { segment.bytes.reserve(size_); }
  void write(std::span<const std::byte> bytes) override {
    if (bytes.size() > size_ - segment.bytes.size()) {
      throw Error(ErrorCode::unavailable, "a segment is longer than it was asked for");
    }
    segment.bytes.insert(segment.bytes.end(), bytes.begin(), bytes.end());
  }
  bool complete() const { return segment.bytes.size() == size_; }

  Segment segment;

 private:
  std::uint64_t size_;
};

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

BlobDownload::BlobDownload(Session& session, Transfers& transfers, const oci::Descriptor& blob,
                           ResumableSink& to)
    : session_(session),
      transfers_(transfers),
      blob_(blob),
      to_(to),
      segment_bytes_(segment_size(blob.size, transfers.sizes.segment_bytes)),
      received_bytes_(to.size_bytes()) {
  if (received_bytes_ > blob_.size) spoiled_ = true;
}

std::string BlobDownload::what() const {
  return "blob " + blob_.digest.str() + " of " + base::quoted(place_->str());
}

void BlobDownload::fetch_from(const oci::Repository& place, Patience patience,
                              std::stop_token stop) {
  place_ = &place;
  ranges_ = true;
  segmented_ = blob_.size - std::min(received_bytes_, blob_.size) >= transfers_.sizes.ranged_bytes;
  struct Finally {
    std::unique_ptr<SegmentsAhead>& ahead;
    ~Finally() { ahead.reset(); }
  } const finally{ahead_};
  Retry retry = session_.new_retry(patience);
  int wrong_answers = 0;
  for (;;) {
    const std::uint64_t before = received_bytes_;
    std::optional<HttpResponse> refusal;
    try {
      if (received_bytes_ >= blob_.size || spoiled_) return verify();
      refusal = advance(place, stop);
      if (received_bytes_ >= before + kProgressBytes) retry.progressed();
    } catch (const Error& e) {
      const bool wrong = std::exchange(wrong_, false);
      base::log_debug("download interrupted: " + what() + " at " + std::to_string(received_bytes_) +
                      " of " + std::to_string(blob_.size) + " bytes: " + e.what());
      if (wrong && (!drop_what_is_wrong() || ++wrong_answers == kWrongAnswers)) throw;
      if (received_bytes_ >= before + kProgressBytes) retry.progressed();
      const bool broken = !wrong && e.code() == ErrorCode::unavailable;
      if (broken && received_bytes_ == blob_.size) continue;  // all is there, whatever broke
      if (wrong ? !retry.wait(stop) : !retry.wait(e, stop)) throw;
    }
    if (!refusal || (refusal->status == 416 && std::exchange(ranges_, false))) continue;
    if (!is_retryable_status(refusal->status) || !retry.wait(*refusal, stop)) {
      throw registry_error("cannot fetch " + what(), *refusal);
    }
  }
}

/// False if wrong bytes went where they cannot be taken back.
bool BlobDownload::drop_what_is_wrong() {
  if (!spoiled_) return true;
  ahead_.reset();
  if (!to_.restart()) return false;
  received_bytes_ = 0;
  spoiled_ = false;
  return true;
}

/// Gets the next segment, or all that is missing. A response that refuses it is returned.
std::optional<HttpResponse> BlobDownload::advance(const oci::Repository& place,
                                                  std::stop_token stop) {
  if (!segmented_ || !ranges_) {
    ahead_.reset();
    return request(place, {received_bytes_, blob_.size}, std::move(stop));
  }
  const std::uint64_t turn = received_bytes_ / segment_bytes_;
  if (ahead_) {
    if (const std::optional<Segment> fetched = ahead_->take(turn, stop)) {
      receive(fetched->bytes);
      return std::nullopt;
    }
  }
  auto refusal = request(place, {received_bytes_, segment(turn).end}, std::move(stop));
  if (!refusal && segmented_ && !ahead_) fetch_others_ahead(place);
  return refusal;
}

BlobDownload::Range BlobDownload::segment(std::uint64_t number) const {
  const std::uint64_t begin = number * segment_bytes_;
  return {begin, std::min(begin + segment_bytes_, blob_.size)};
}

void BlobDownload::fetch_others_ahead(const oci::Repository& place) {
  ahead_ = std::make_unique<SegmentsAhead>(
      [this, &place](std::uint64_t number, std::stop_token stop) {
        return fetch_ahead(place, number, std::move(stop));
      },
      received_bytes_ / segment_bytes_, (blob_.size + segment_bytes_ - 1) / segment_bytes_,
      transfers_.sizes.segments_ahead);
}

Call BlobDownload::call_for(const oci::Repository& place, Range range, bool ranged) const {
  Call call{.repository = place,
            .target = "/v2/" + place.path + "/blobs/" + blob_.digest.str(),
            .scopes = {scope_of(place, Access::pull)}};
  if (ranged) {
    const std::string last = range.end == blob_.size ? "" : std::to_string(range.end - 1);
    call.headers.add("Range", "bytes=" + std::to_string(range.begin) + "-" + last);
  }
  return call;
}

std::optional<HttpResponse> BlobDownload::request(const oci::Repository& place, Range range,
                                                  std::stop_token stop) {
  const bool ranged = ranges_ && (range.begin > 0 || range.end < blob_.size);
  Call call = call_for(place, range, ranged);
  std::optional<Part> part;
  call.route = [&](const HttpResponse& head) {
    part.emplace(*this, begin_of(head, range, ranged));
    return &*part;
  };
  HttpResponse response = session_.send(call, std::move(stop));
  if (!response.ok()) return response;
  if (received_bytes_ < range.end) {
    refuse(what() + " is too short: got " + std::to_string(received_bytes_) + " bytes, want " +
           std::to_string(range.end));
  }
  return std::nullopt;
}

/// The offset at which the body of a successful response begins.
std::uint64_t BlobDownload::begin_of(const HttpResponse& head, Range asked, bool ranged) {
  if (head.status == 206) {
    const std::string_view told = head.headers.get("Content-Range");
    if (ranged && is_range(told, asked.begin, asked.end, blob_.size)) return asked.begin;
    ranges_ = false;  // from the beginning, then
    throw Error(ErrorCode::unavailable,
                "registry sent another range of " + what() + " than it was asked for");
  }
  segmented_ = false;
  const std::optional<std::uint64_t> length = parse_decimal(head.headers.get("Content-Length"));
  if (length && *length != blob_.size) {
    refuse(what() + " has another size: the registry announces " + std::to_string(*length) +
           " bytes, the manifest wants " + std::to_string(blob_.size));
  }
  return 0;
}

/// One segment, on a stream that no other blob wants.
std::optional<Segment> BlobDownload::fetch_ahead(const oci::Repository& place, std::uint64_t number,
                                                 std::stop_token stop) {
  const Range range = segment(number);
  std::optional<StreamLimit::Slot> memory = transfers_.segments.try_admit();
  if (!segmented_ || !memory) return std::nullopt;
  SegmentSink sink(range.end - range.begin);
  sink.segment.memory = std::move(memory);
  Call call = call_for(place, range, true);
  call.route = [&](const HttpResponse& head) {
    const std::string_view told = head.headers.get("Content-Range");
    if (head.status != 206 || !is_range(told, range.begin, range.end, blob_.size)) {
      segmented_ = false;
      throw Error(ErrorCode::unavailable, "registry sent another range than it was asked for");
    }
    sink.prepare();
    return &sink;
  };
  const std::optional<HttpResponse> response = session_.send_if_free(call, std::move(stop));
  if (!response) return std::nullopt;
  if (!response->ok() || !sink.complete()) {
    throw Error(ErrorCode::unavailable, "registry answered " + describe(*response));
  }
  return std::move(sink.segment);
}

void BlobDownload::receive(std::span<const std::byte> bytes) {
  if (bytes.size() > blob_.size - received_bytes_) {
    spoiled_ = true;
    refuse(what() + " is longer than the " + std::to_string(blob_.size) + " bytes it should be");
  }
  if (bytes.empty()) return;
  received_bytes_ += bytes.size();
  to_.write(bytes);
}

/// The place sent something else than the blob: it may do better when asked again.
void BlobDownload::refuse(std::string why) {
  wrong_ = true;
  throw Error(ErrorCode::corrupt, std::move(why));
}

void BlobDownload::verify() {
  if (received_bytes_ > blob_.size) {
    refuse(what() + " is longer than it should be");
  }
  const base::Digest digest = to_.digest();
  if (digest == blob_.digest) return;
  spoiled_ = true;
  refuse(what() + " has other content: its digest is " + digest.str());
}

}  // namespace strake::registry
