#include <algorithm>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/blob_put.h"
#include "registry/blob_stream.h"
#include "registry/client.h"
#include "registry/registry_error.h"
#include "registry/session.h"
#include "registry/transfers.h"
#include "registry/upload_calls.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// Whether the registry says that it stored this, or nothing.
bool stored_as(const HttpResponse& response, const base::Digest& digest) {
  const std::string_view claimed = response.headers.get("Docker-Content-Digest");
  return !claimed.starts_with("sha256:") || claimed == digest.str();
}

/// Whether the registry refuses a manifest since it lacks a blob that it names.
bool misses_blob(const HttpResponse& response) {
  if (response.ok()) return false;
  for (const RegistryErrorEntry& entry : parse_error_body(response.body)) {
    if (entry.code == "MANIFEST_BLOB_UNKNOWN" || entry.code == "BLOB_UNKNOWN") return true;
  }
  return false;
}

/// Whether the registry may have got something else than was sent.
bool may_be_damaged(const HttpResponse& response) {
  const auto entries = parse_error_body(response.body);
  return response.ok() ||
         std::any_of(entries.begin(), entries.end(), [](const RegistryErrorEntry& entry) {
           return entry.code == "MANIFEST_INVALID" || entry.code == "MANIFEST_BLOB_UNKNOWN" ||
                  entry.code == "DIGEST_INVALID";
         });
}

Error stored_as_other(const std::string& what, const HttpResponse& response,
                      const base::Digest& digest) {
  return Error(ErrorCode::corrupt, what + ": the registry stored it as " +
                                       base::quoted(response.headers.get("Docker-Content-Digest")) +
                                       ", but its digest is " + digest.str());
}

}  // namespace

UploadSession Client::check_push_permission(const oci::Repository& repository,
                                            std::stop_token stop) {
  const Call call = open_upload(repository);
  const HttpResponse response = session_->send_with_retries(call, stop);
  if (response.status != 202) {
    throw push_error("cannot push to " + base::quoted(repository.str()), repository, response);
  }
  return {session_->upload_url(repository, response, call.target, std::move(stop)).str()};
}

void Client::cancel_upload(const oci::Repository& repository, const UploadSession& session,
                           std::stop_token stop) noexcept {
  registry::cancel_upload(*session_, repository, parse_url(session.location), std::move(stop));
}

MountResult Client::mount_blob(const oci::Repository& to, const oci::Repository& from,
                               const base::Digest& digest, std::stop_token stop) {
  Call call = open_upload(to);
  call.target = with_query(call.target, "mount", digest.str());
  call.target = with_query(std::move(call.target), "from", from.path);
  call.scopes.push_back(scope_of(from, Access::pull));
  const HttpResponse response = session_->send_with_retries(call, stop);
  if (response.status == 201) return {.mounted = true};
  // A registry may answer 202 to a mount it refuses (distribution-spec, "Mounting a blob from
  // another repository"): then the upload it opened is ours to finish.
  if (response.status == 202) {
    const Url url = session_->upload_url(to, response, call.target, std::move(stop));
    return {.mounted = false, .session = UploadSession{url.str()}};
  }
  base::log_debug("mount refused: " + describe(response));
  return {};
}

void Client::put_blob(const oci::Repository& to, const oci::Descriptor& blob,
                      const BlobBytes& bytes, std::optional<UploadSession> session,
                      std::stop_token stop) {
  BlobPut(*session_, *transfers_, to, blob, bytes).run(session, std::move(stop));
}

bool Client::stream_blob(const oci::Repository& to, const base::GrowingFile& blob,
                         const std::function<void(std::uint64_t)>& sent, std::stop_token stop) {
  return BlobStream(*session_, *transfers_, to, blob, sent).run(std::move(stop));
}

ManifestReceipt Client::put_manifest(const oci::Reference& to, std::string_view bytes,
                                     std::string_view media_type, std::stop_token stop,
                                     const std::function<void()>& send_blobs) {
  const oci::Repository& repository = to.repository;
  const base::Digest digest = base::Digest::of(bytes);
  const std::string name = to.tag ? *to.tag : digest.str();
  const std::string what =
      "cannot store manifest " + base::quoted(name) + " in " + base::quoted(repository.str());
  if (to.digest && *to.digest != digest) {
    throw Error(ErrorCode::corrupt, what + ": its digest is " + digest.str());
  }
  Call call{.method = "PUT",
            .repository = repository,
            .target = "/v2/" + repository.path + "/manifests/" + name,
            .scopes = {scope_of(repository, Access::push)},
            .open_body = [&] { return std::make_unique<base::StringSource>(std::string(bytes)); },
            .body_size = bytes.size()};
  call.headers.add("Content-Type", std::string(media_type));
  Retry retry = session_->new_retry();
  bool may_send_blobs = send_blobs != nullptr;
  for (std::string last;;) {
    const HttpResponse response = session_->send_with_retries(call, stop);
    if (misses_blob(response) && std::exchange(may_send_blobs, false)) {
      send_blobs();
      continue;
    }
    if (response.ok() && stored_as(response, digest)) {
      return {.lists_referrer = response.headers.find("OCI-Subject").has_value()};
    }
    const Error error = response.ok() ? stored_as_other(what, response, digest)
                                      : push_error(what, repository, response);
    // What is refused twice in the same words was not damaged on the way.
    if (!may_be_damaged(response) || last == error.what() || !retry.wait(response, stop)) {
      const bool refused = !response.ok() && error.code() != ErrorCode::unavailable;
      if (to.tag && refused && names(to, digest, stop)) return {};
      throw error;
    }
    last = error.what();
  }
}

bool Client::names(const oci::Reference& reference, const base::Digest& digest,
                   std::stop_token stop) {
  try {
    return resolve({reference.repository, reference.tag, std::nullopt}, std::move(stop),
                   Mirrors::passed_by)
               .digest == digest;
  } catch (const Error&) {
    return false;  // why it was not stored is the better message
  }
}

}  // namespace strake::registry
