#include "registry/blob_put.h"

#include <algorithm>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/registry_error.h"
#include "registry/upload_calls.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// Uploads whose digest was refused although the blob is right, before that is an error: bytes may
/// have been damaged on the way once, or by whoever sent the first part.
constexpr int kDigestAttempts = 3;
/// Refused chunks after which a registry is believed to know none: the first may have gone to an
/// upload that the registry had lost.
constexpr int kChunkAttempts = 2;
constexpr std::chrono::milliseconds kRecordPoll{100};

/// For what a new upload may do better: registries of several machines lose uploads.
Error lost(std::string_view what, const HttpResponse& response) {
  return Error(ErrorCode::unavailable,
               "registry " + std::string(what) + " (" + describe(response) + ")");
}

bool says_digest_invalid(const HttpResponse& response) {
  const auto entries = parse_error_body(response.body);
  return std::any_of(entries.begin(), entries.end(), [](const RegistryErrorEntry& entry) {
    return entry.code == "DIGEST_INVALID";
  });
}

/// Passes on what is read from a source that stays, and counts it.
class Borrowed final : public base::ByteSource {
 public:
  Borrowed(base::ByteSource& from, std::uint64_t& position) : from_(from), position_(position) {}

  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t count = from_.read(buffer);
    position_ += count;
    return count;
  }

 private:
  base::ByteSource& from_;
  std::uint64_t& position_;
};

}  // namespace

BlobPut::BlobPut(Session& session, Transfers& transfers, const oci::Repository& to,
                 const oci::Descriptor& blob, const BlobBytes& bytes)
    : session_(session), transfers_(transfers), to_(to), blob_(blob), bytes_(bytes) {}

void BlobPut::run(const std::optional<UploadSession>& opened, std::stop_token stop) {
  in_chunks_ = blob_.size > transfers_.sizes.monolithic_bytes && transfers_.takes_chunks(to_.host);
  if (opened) location_ = parse_url(opened->location);
  Retry bodies = session_.new_retry();     // for sending bytes of the blob
  Retry questions = session_.new_retry();  // for each request around that
  while (!there_) {
    const bool asking = !sends_bytes_next();
    Retry& retry = asking ? questions : bodies;
    try {
      const Refusal refusal = step(stop);
      if (refusal) {
        in_doubt_ = in_doubt_ || location_ || finishing_;
        const bool passing = is_retryable_status(refusal->status);
        if (!passing || !retry.wait(*refusal, stop)) throw error_of(*refusal);
      } else if (stored_bytes_ > most_bytes_) {
        most_bytes_ = stored_bytes_;
        bodies.progressed();
      }
      if (!refusal && asking) questions.progressed();
    } catch (const Error& e) {
      in_doubt_ = in_doubt_ || location_ || finishing_;  // else there is nothing to ask about
      base::log_debug("upload interrupted: " + blob_.digest.str() + " at " +
                      std::to_string(stored_bytes_) + " of " + std::to_string(blob_.size) +
                      " bytes: " + e.what());
      if (!retry.wait(e, stop)) throw;
    }
  }
  record_.remove();
}

bool BlobPut::sends_bytes_next() const {
  const bool ready = !in_chunks_ || resumed_;
  return ready && !in_doubt_ && location_;
}

BlobPut::Refusal BlobPut::step(std::stop_token stop) {
  if (in_chunks_ && !own_record_) return take_record(std::move(stop));
  if (in_chunks_ && !resumed_) return resume(std::move(stop));
  if (in_doubt_) return settle(std::move(stop));
  if (!location_) return start(std::move(stop));
  if (in_chunks_ && stored_bytes_ < blob_.size) return send_chunk(std::move(stop));
  return finish(std::move(stop));
}

/// Waits for another process that uploads the blob, or for the courier of one that is dead.
BlobPut::Refusal BlobPut::take_record(std::stop_token stop) {
  std::optional<UploadSessions::Record> record = transfers_.sessions.open(to_, blob_.digest);
  bool waited = false;
  for (; !record; record = transfers_.sessions.open(to_, blob_.digest)) {
    if (!waited) base::log_info("waiting for another process that uploads " + blob_.digest.str());
    session_.environment().sleep(kRecordPoll, stop);
    if (stop.stop_requested()) throw Error(ErrorCode::cancelled, "cancelled");
    waited = true;
  }
  there_ = waited && arrived(stop);
  record_ = *std::move(record);
  own_record_ = true;
  return std::nullopt;
}

/// Takes up what an earlier process left.
BlobPut::Refusal BlobPut::resume(std::stop_token stop) {
  if (record_.found()) {
    HttpResponse earlier;
    earlier.headers.add("Location", record_.found()->location);
    try {
      location_ = session_.upload_url(to_, earlier, "/", std::move(stop));
      sent_bytes_ = blob_.size;
      in_doubt_ = true;
    } catch (const Error& e) {
      if (e.code() == ErrorCode::cancelled || e.code() == ErrorCode::unavailable) throw;
      record_.remove();  // the registry is spoken to in another way now
    }
  }
  resumed_ = true;
  return std::nullopt;
}

/// Finds out what the registry has got.
BlobPut::Refusal BlobPut::settle(std::stop_token stop) {
  if (finishing_ && arrived(stop)) {
    there_ = true;
    return std::nullopt;
  }
  finishing_ = false;
  if (location_ && in_chunks_) {
    HttpResponse response = session_.send(about_upload("GET", to_, *location_), stop);
    const bool refused = response.status == 401 || response.status == 403;
    if (refused || is_retryable_status(response.status)) return response;
    const std::optional<std::uint64_t> stored = stored_bytes_of(response);
    if (response.ok() && stored && *stored <= sent_bytes_ && stored != out_of_step_) {
      take_location(response, location_->target, std::move(stop));
      stored_bytes_ = *stored;
      base::log_debug("upload goes on: " + blob_.digest.str() + " at " + std::to_string(*stored));
    } else {
      base::log_debug("upload begins again: the registry answered " + describe(response));
      forget();
    }
  } else {
    forget();  // one body uses an upload up
  }
  in_doubt_ = false;
  return std::nullopt;
}

BlobPut::Refusal BlobPut::start(std::stop_token stop) {
  const Call call = open_upload(to_);
  HttpResponse response = session_.send(call, stop);
  if (response.status != 202) {
    if (response.ok()) throw error_of(response);
    return response;
  }
  take_location(response, call.target, std::move(stop));
  least_chunk_ = least_chunk_of(response);
  stored_bytes_ = 0;
  return std::nullopt;
}

BlobPut::Refusal BlobPut::send_chunk(std::stop_token stop) {
  const std::uint64_t length =
      std::min(std::max(transfers_.sizes.chunk_bytes, least_chunk_), blob_.size - stored_bytes_);
  Call call = chunk_of_upload(to_, *location_, stored_bytes_, length);
  if (call_courier()) {
    call.perform = [this](const HttpRequest& request, std::stop_token token) {
      return deliver(request, std::move(token));
    };
  } else {
    call.open_body = [this] { return body(); };
  }
  sent_bytes_ = std::max(sent_bytes_, stored_bytes_ + length);
  HttpResponse response = session_.send(call, stop);
  if (response.ok()) {
    accept_chunk(response, length, std::move(stop));
    return std::nullopt;
  }
  switch (response.status) {
    case 401:
    case 403:
    case 413:
      return response;
    case 416:
      out_of_step_ = stored_bytes_;
      throw lost("has another part of an upload", response);
    default:
      if (is_retryable_status(response.status)) return response;
      chunk_refused(response);
      return std::nullopt;
  }
}

/// Whether there is a courier for the chunks: where the next process could take up the upload.
bool BlobPut::call_courier() {
  if (courier_) return true;
  if (transfers_.courier.empty() || !bytes_.open_file || !record_ || no_courier_) return false;
  try {
    if (!file_) file_ = bytes_.open_file();
    courier_ = std::make_unique<Courier>(transfers_.courier);
    return true;
  } catch (const Error& e) {
    if (e.code() == ErrorCode::cancelled) throw;
    base::log_debug(std::string("chunks are sent by this process: ") + e.what());
    no_courier_ = true;
    return false;
  }
}

HttpResponse BlobPut::deliver(const HttpRequest& request, std::stop_token stop) {
  try {
    return courier_->deliver(
        request, {file_.get(), stored_bytes_, record_},
        [this](std::uint64_t sent) {
          if (bytes_.sent) bytes_.sent(stored_bytes_ + sent);
        },
        std::move(stop));
  } catch (const Error&) {
    courier_.reset();  // whatever it is doing
    throw;
  }
}

void BlobPut::accept_chunk(const HttpResponse& response, std::uint64_t length,
                           std::stop_token stop) {
  std::uint64_t stored = stored_bytes_ + length;
  if (response.headers.find("Range")) {
    const std::optional<std::uint64_t> told = stored_bytes_of(response);
    if (!told || *told <= stored_bytes_) throw lost("did not take a chunk", response);
    stored = *told;
  }
  if (stored > sent_bytes_) {
    forget();  // some of it is not ours
    throw lost("claims more of an upload than was sent", response);
  }
  stored_bytes_ = stored;
  out_of_step_.reset();
  if (response.headers.find("Location")) {
    take_location(response, location_->target, std::move(stop));
  } else {
    record_.write({location_->str(), stored_bytes_});
  }
}

/// A refusal that waiting does not cure: the upload is lost, or chunks are not known there.
void BlobPut::chunk_refused(const HttpResponse& response) {
  forget();
  if (!knows_no_chunks(response) && ++chunks_refused_ < kChunkAttempts)
    throw lost("lost an upload", response);
  base::log_debug("registry " + base::quoted(to_.host) + " takes no chunks (" + describe(response) +
                  "): blobs go there whole");
  transfers_.remember_without_chunks(to_.host);
  in_chunks_ = false;
}

BlobPut::Refusal BlobPut::finish(std::stop_token stop) {
  Call call = close_upload(to_, *location_, blob_.digest, blob_.size);
  if (!in_chunks_) {
    call.open_body = [this] { return bytes_.open(0); };
    call.body_size = blob_.size;
  }
  finishing_ = true;
  HttpResponse response = session_.send(call, std::move(stop));
  there_ = response.status == 201 || response.status == 204;
  if (there_) return std::nullopt;
  if (response.ok()) throw error_of(response);
  if (response.status == 404 || response.status == 416) throw lost("lost an upload", response);
  if (says_digest_invalid(response)) digest_refused(response);
  return response;
}

/// Which side is wrong? Throws the answer.
void BlobPut::digest_refused(const HttpResponse& response) {
  base::HashingSink ours;
  base::copy(*bytes_.open(0), ours);  // a store that notices damage says so itself
  const std::uint64_t size = ours.size_bytes();
  const base::Digest digest = ours.finish();
  const std::string what = "blob " + blob_.digest.str();
  if (digest != blob_.digest || size != blob_.size) {
    throw Error(ErrorCode::corrupt, what + " is damaged here: its digest is " + digest.str() +
                                        " (" + std::to_string(size) + " bytes), and registry " +
                                        base::quoted(to_.host) + " refused it (" +
                                        describe(response) + ")");
  }
  forget();
  finishing_ = false;
  if (++digests_refused_ < kDigestAttempts) throw lost("got other bytes than were sent", response);
  throw Error(ErrorCode::corrupt, what + " is right here, but registry " + base::quoted(to_.host) +
                                      " got something else (" + describe(response) + ")")
      .hint("check what is between here and the registry: something changes uploads");
}

/// Whether the registry has the blob: it may have got everything although its answer was lost.
bool BlobPut::arrived(std::stop_token stop) {
  const Call call{.method = "HEAD",
                  .repository = to_,
                  .target = "/v2/" + to_.path + "/blobs/" + blob_.digest.str(),
                  .scopes = {scope_of(to_, Access::pull)}};
  return session_.send(call, std::move(stop)).ok();
}

/// The place of the next request, which the answer to the last one names. A chunked upload is
/// recorded with it.
void BlobPut::take_location(const HttpResponse& response, const std::string& requested,
                            std::stop_token stop) {
  const bool named = response.headers.find("Location").has_value();
  if (named || !location_) {
    location_ = session_.upload_url(to_, response, requested, std::move(stop));
  }
  if (in_chunks_) record_.write({location_->str(), stored_bytes_});
}

void BlobPut::forget() {
  location_.reset();
  stored_bytes_ = sent_bytes_ = 0;
  out_of_step_.reset();
  record_.remove();
}

/// The bytes behind what is stored, from the source that sent the last chunk if it stands there.
std::unique_ptr<base::ByteSource> BlobPut::body() {
  if (!source_ || source_position_ != stored_bytes_) {
    source_ = bytes_.open(stored_bytes_);
    source_position_ = stored_bytes_;
  }
  return std::make_unique<Borrowed>(*source_, source_position_);
}

Error BlobPut::error_of(const HttpResponse& response) const {
  return push_error("cannot upload blob " + blob_.digest.str() + " to " + base::quoted(to_.str()),
                    to_, response);
}

}  // namespace strake::registry
