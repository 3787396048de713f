#include "layers/base/error.h"
#include "registry/client.h"
#include "registry/registry_error.h"
#include "registry/session.h"

namespace strake::registry {

using base::Error;
using base::ErrorCode;

void Client::delete_manifest(const oci::Reference& reference, std::stop_token stop) {
  const oci::Repository& repository = reference.repository;
  const std::string name =
      reference.digest ? reference.digest->str() : reference.tag.value_or("latest");
  const Call call{.method = "DELETE",
                  .repository = repository,
                  .target = "/v2/" + repository.path + "/manifests/" + name,
                  // Registries name the action differently in their challenges; these come first.
                  .scopes = {"repository:" + repository.path + ":delete,pull,push"}};
  const HttpResponse response = session_->send_with_retries(call, std::move(stop));
  if (response.ok()) return;
  const std::string what = "cannot delete " + base::quoted(reference.familiar());
  // 405 is what the specification says; many registries that delete manifests but no tags say 400.
  if (response.status == 405 || response.status == 501 ||
      (response.status == 400 && !reference.digest)) {
    throw Error(ErrorCode::unsupported,
                what + ": the registry does not allow it (" + describe(response) + ")")
        .hint(reference.digest ? "allow deletion in the registry's configuration"
                               : "this registry may delete manifests by digest only; that removes "
                                 "every tag of the manifest");
  }
  Error error = registry_error(what, response);
  if (error.code() == ErrorCode::denied) {
    error.set_hint("log in to " + base::quoted(repository.host) + " with the right to delete in " +
                   base::quoted(repository.path));
  }
  throw error;
}

}  // namespace strake::registry
