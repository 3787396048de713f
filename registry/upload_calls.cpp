#include "registry/upload_calls.h"

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/decimal.h"

namespace strake::registry {
namespace {

/// Registries hash or copy a blob before they answer the last request: at this speed at least.
constexpr std::uint64_t kStoredBytesPerSecond = 20 << 20;
constexpr std::chrono::seconds kAnswerTime{60};
/// What the answer to a cancellation is worth.
constexpr std::chrono::seconds kCancelTime{5};

}  // namespace

Call open_upload(const oci::Repository& to) {
  return {.method = "POST",
          .repository = to,
          .target = "/v2/" + to.path + "/blobs/uploads/",
          .scopes = {scope_of(to, Access::push)}};
}

Call about_upload(const char* method, const oci::Repository& to, const Url& upload) {
  return {
      .method = method, .repository = to, .upload = upload, .scopes = {scope_of(to, Access::push)}};
}

Call chunk_of_upload(const oci::Repository& to, const Url& upload, std::uint64_t offset,
                     std::uint64_t length) {
  Call call = about_upload("PATCH", to, upload);
  call.headers.add("Content-Type", "application/octet-stream");
  call.headers.add("Content-Range",
                   std::to_string(offset) + "-" + std::to_string(offset + length - 1));
  call.body_size = length;
  return call;
}

Call close_upload(const oci::Repository& to, const Url& upload, const base::Digest& digest,
                  std::uint64_t size_bytes) {
  Call call = about_upload("PUT", to, upload);
  call.upload->target = with_query(std::move(call.upload->target), "digest", digest.str());
  call.headers.add("Content-Type", "application/octet-stream");
  call.answer_timeout = kAnswerTime + std::chrono::seconds(size_bytes / kStoredBytesPerSecond);
  return call;
}

void cancel_upload(Session& session, const oci::Repository& to, const Url& upload,
                   std::stop_token stop) noexcept {
  try {
    Call call = about_upload("DELETE", to, upload);
    call.answer_timeout = kCancelTime;
    session.send(call, std::move(stop));
  } catch (const std::exception& e) {
    base::log_debug(std::string("cannot cancel an upload: ") + e.what());
  }
}

std::optional<std::uint64_t> stored_bytes_of(const HttpResponse& response) {
  std::string_view range = response.headers.get("Range");
  for (const std::string_view unit : {"bytes=", "bytes "}) {
    if (range.starts_with(unit)) range.remove_prefix(unit.size());
  }
  if (!range.starts_with("0-")) return std::nullopt;
  const std::optional<std::uint64_t> last = parse_decimal(range.substr(2));
  if (!last || *last == UINT64_MAX) return std::nullopt;
  return *last == 0 ? 0 : *last + 1;
}

std::uint64_t least_chunk_of(const HttpResponse& response) {
  return parse_decimal(response.headers.get("OCI-Chunk-Min-Length")).value_or(0);
}

bool knows_no_chunks(const HttpResponse& response) {
  return response.status == 405 || response.status == 501;
}

}  // namespace strake::registry
