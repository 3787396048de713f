#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/blob_put.h"
#include "registry/client.h"
#include "registry/registry_error.h"
#include "registry/session.h"
#include "registry/transfers.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// Tells the registry that an upload will not be finished. It forgets them by itself some day, so
/// whether this works does not matter.
void cancel_upload(Session& session, const oci::Repository& repository, const Url& upload,
                   std::stop_token stop) {
  try {
    session.send({.method = "DELETE",
                  .repository = repository,
                  .upload = upload,
                  .scopes = {scope_of(repository, Access::push)}},
                 std::move(stop));
  } catch (const Error& e) {
    base::log_debug(std::string("cannot cancel an upload: ") + e.what());
  }
}

}  // namespace

void Client::check_push_permission(const oci::Repository& repository, std::stop_token stop) {
  const Call call = upload_call(repository);
  const HttpResponse response = session_->send_with_retries(call, stop);
  if (response.status != 202) {
    throw push_error("cannot push to " + base::quoted(repository.str()), repository, response);
  }
  const Url upload = session_->upload_url(repository, response, call.target, stop);
  cancel_upload(*session_, repository, upload, std::move(stop));
}

MountResult Client::mount_blob(const oci::Repository& to, const oci::Repository& from,
                               const base::Digest& digest, std::stop_token stop) {
  Call call = upload_call(to);
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
                      const BlobOpener& open, std::optional<UploadSession> session,
                      std::stop_token stop) {
  BlobPut(*session_, *transfers_, to, blob, open).run(session, std::move(stop));
}

ManifestReceipt Client::put_manifest(const oci::Reference& to, std::string_view bytes,
                                     std::string_view media_type, std::stop_token stop) {
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
  const HttpResponse response = session_->send_with_retries(call, stop);
  if (!response.ok()) {
    const Error error = push_error(what, repository, response);
    if (to.tag && error.code() != ErrorCode::unavailable && names(to, digest, stop)) return {};
    throw error;
  }
  const std::string_view claimed = response.headers.get("Docker-Content-Digest");
  if (claimed.starts_with("sha256:") && claimed != digest.str()) {
    throw Error(ErrorCode::corrupt, what + ": the registry stored it as " + base::quoted(claimed) +
                                        ", but its digest is " + digest.str());
  }
  return {.lists_referrer = response.headers.find("OCI-Subject").has_value()};
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
