#include "registry/blob_stream.h"

#include <algorithm>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/registry_error.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;
using base::GrowingFile;

/// A piece of a file that grows, all of which is there already.
class Piece final : public base::ByteSource {
 public:
  Piece(const GrowingFile& file, std::uint64_t offset, std::uint64_t size,
        const std::function<void(std::uint64_t)>& sent)
      : file_(file), position_(offset), left_(size), sent_(sent) {}

  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), left_);
    const std::size_t count = file_.read_at(position_, buffer.first(wanted));
    position_ += count;
    left_ -= count;
    if (sent_ && count > 0) sent_(position_);
    return count;
  }

 private:
  const GrowingFile& file_;
  std::uint64_t position_, left_;
  const std::function<void(std::uint64_t)>& sent_;
};

}  // namespace

BlobStream::BlobStream(Session& session, Transfers& transfers, const oci::Repository& to,
                       const GrowingFile& blob, const std::function<void(std::uint64_t)>& sent)
    : session_(session),
      transfers_(transfers),
      to_(to),
      blob_(blob),
      sent_(sent),
      least_chunk_(transfers.sizes.streamed_bytes) {}

bool BlobStream::run(std::stop_token stop) {
  bool there = false;
  try {
    there = attempt(stop);
  } catch (const Error& e) {
    base::log_debug(std::string("streamed upload given up: ") + e.what());
    // The connection is of no use: asking for anything more could take long.
    if (e.code() == ErrorCode::unavailable) location_.reset();
  }
  // Also when all is to stop: a registry that just answered will soon answer again.
  if (!there && location_) cancel_upload(session_, to_, *location_, {});
  if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
  return there;
}

/// One pass over the blob as it grows. False as soon as it is not going to be there.
bool BlobStream::attempt(std::stop_token stop) {
  while (transfers_.takes_chunks(to_.host)) {
    const GrowingFile::Progress now = blob_.wait_beyond(stored_bytes_ + least_chunk_ - 1, stop);
    if (now.state == GrowingFile::State::abandoned) return false;
    const bool finished = now.state == GrowingFile::State::finished;
    // A small blob may be there already, which asking shows; and one request takes it all.
    if (!location_) {
      if (finished || !open(stop)) return false;
      continue;  // it may want larger chunks
    }
    const std::uint64_t there = now.size_bytes - stored_bytes_;
    if (there > 0) {
      const std::uint64_t most = std::max(transfers_.sizes.chunk_bytes, least_chunk_);
      if (!send_chunk(std::min(there, most), stop)) return false;
    } else if (finished) {
      return close(now, stop);
    }
  }
  return false;
}

bool BlobStream::open(std::stop_token stop) {
  const Call call = open_upload(to_);
  const HttpResponse response = send(call, stop);
  if (response.status != 202) return refused("opens no upload", response);
  location_ = session_.upload_url(to_, response, call.target, std::move(stop));
  least_chunk_ = std::max(least_chunk_, least_chunk_of(response));
  return true;
}

bool BlobStream::send_chunk(std::uint64_t length, std::stop_token stop) {
  Call call = chunk_of_upload(to_, *location_, stored_bytes_, length);
  call.open_body = [&] { return std::make_unique<Piece>(blob_, stored_bytes_, length, sent_); };
  const HttpResponse response = send(call, stop);
  if (!response.ok()) {
    if (knows_no_chunks(response)) transfers_.remember_without_chunks(to_.host);
    return refused("refused a chunk", response);
  }
  stored_bytes_ += length;
  if (response.headers.find("Range") && stored_bytes_of(response) != stored_bytes_) {
    return refused("did not take a whole chunk", response);
  }
  if (response.headers.find("Location")) {
    location_ = session_.upload_url(to_, response, location_->target, std::move(stop));
  }
  return true;
}

bool BlobStream::close(const GrowingFile::Progress& end, std::stop_token stop) {
  const Call call = close_upload(to_, *location_, *end.digest, end.size_bytes);
  const HttpResponse response = session_.send(call, std::move(stop));
  if (response.status != 201 && response.status != 204) {
    return refused("did not take a blob", response);
  }
  location_.reset();
  return true;
}

/// Again while the registry says that it is busy: then it has taken nothing.
HttpResponse BlobStream::send(const Call& call, std::stop_token stop) {
  Retry retry = session_.new_retry();
  for (;;) {
    HttpResponse response = session_.send(call, stop);
    const bool busy = response.status == 429 || response.status == 503;
    if (!busy || !retry.wait(response, stop)) return response;
  }
}

bool BlobStream::refused(const char* what, const HttpResponse& response) const {
  base::log_debug("streamed upload given up: registry " + base::quoted(to_.host) + " " + what +
                  " (" + describe(response) + ")");
  return false;
}

}  // namespace strake::registry
