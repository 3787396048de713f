#include <algorithm>
#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/body.h"
#include "registry/client.h"
#include "registry/index_update.h"
#include "registry/pages.h"
#include "registry/registry_error.h"
#include "registry/url.h"

// Referrers are found in one of two ways. Registries of the specification's version 1.1 keep the
// list themselves: they answer the PUT of a manifest that has a subject with OCI-Subject, and a GET
// of /v2/<name>/referrers/<digest> with an index. For all others the clients keep that index at a
// tag made of the subject's digest, "sha256-<hex>" (spec: "Unavailable Referrers API").

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

oci::Reference fallback_tag(const oci::Repository& repository, const base::Digest& subject) {
  return {repository, "sha256-" + subject.hex(), std::nullopt};
}

/// The entry of a referrer: what a reader needs to choose without fetching it.
oci::Descriptor entry_of(const oci::Document<oci::Manifest>& manifest) {
  oci::Descriptor entry = manifest.descriptor;
  entry.platform.reset();
  entry.annotations = manifest.value.annotations;
  entry.artifact_type = manifest.value.artifact_type.empty() ? manifest.value.config.media_type
                                                             : manifest.value.artifact_type;
  return entry;
}

void keep_type(std::vector<oci::Descriptor>& referrers, std::string_view artifact_type) {
  if (artifact_type.empty()) return;
  std::erase_if(referrers, [&](const oci::Descriptor& referrer) {
    return referrer.artifact_type != artifact_type;
  });
}

oci::Index parse_list(std::string text) {
  auto document = oci::parse_manifest(std::move(text), oci::media_type::kOciIndex);
  return std::get<oci::Index>(std::move(document.value));
}

}  // namespace

/// nullopt if the registry keeps no lists of referrers.
std::optional<std::vector<oci::Descriptor>> Client::listed_referrers(
    const oci::Repository& repository, const base::Digest& subject, std::string_view artifact_type,
    std::stop_token stop) {
  Call call{.repository = repository,
            .target = "/v2/" + repository.path + "/referrers/" + subject.str(),
            .scopes = {scope_of(repository, Access::pull)}};
  if (!artifact_type.empty()) {
    call.target = with_query(std::move(call.target), "artifactType", artifact_type);
  }
  call.headers.add("Accept", std::string(oci::media_type::kOciIndex));
  std::vector<oci::Descriptor> referrers;
  for (int page = 0; page < kMostPages; ++page) {
    std::optional<LimitedStringSink> body;
    call.route = [&](const HttpResponse&) {
      return &body.emplace(kManifestLimitBytes, "list of referrers");
    };
    const HttpResponse response = session_->send_with_retries(call, stop);
    // What a registry without the API answers to a path that it does not know.
    if (page == 0 && (response.status == 404 || response.status == 405 || response.status == 400))
      return std::nullopt;
    if (!response.ok()) {
      throw registry_error(
          "cannot list the referrers of " + base::quoted(repository.str() + "@" + subject.str()),
          response);
    }
    // Some answer every unknown path with a page for people.
    if (!response.headers.get("Content-Type").starts_with(oci::media_type::kOciIndex))
      return std::nullopt;
    std::ranges::move(parse_list(body ? std::move(body->text) : "").manifests,
                      std::back_inserter(referrers));
    if (!turn_page(call, response)) break;
  }
  return referrers;
}

std::vector<oci::Descriptor> Client::list_referrers(const oci::Repository& repository,
                                                    const base::Digest& subject,
                                                    std::string_view artifact_type,
                                                    std::stop_token stop) {
  std::vector<oci::Descriptor> referrers;
  if (auto listed = listed_referrers(repository, subject, artifact_type, stop)) {
    referrers = *std::move(listed);
  } else {
    try {
      auto document = get_manifest(fallback_tag(repository, subject), std::move(stop));
      if (auto* index = std::get_if<oci::Index>(&document.value))
        referrers = std::move(index->manifests);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::not_found) throw;
    }
  }
  // A registry need not filter, and a tag cannot.
  keep_type(referrers, artifact_type);
  return referrers;
}

void Client::push_referrer(const oci::Repository& to, const oci::Document<oci::Manifest>& manifest,
                           std::stop_token stop) {
  const oci::Descriptor& own = manifest.descriptor;
  const ManifestReceipt receipt =
      put_manifest({to, std::nullopt, own.digest}, manifest.bytes, own.media_type, stop);
  if (receipt.lists_referrer || !manifest.value.subject) return;
  const oci::Reference tag = fallback_tag(to, manifest.value.subject->digest);
  base::log_debug("the registry keeps no list of referrers: changing " + tag.str());
  const auto add = [entry = entry_of(manifest)](oci::Index& index) {
    const bool known = std::ranges::any_of(index.manifests, [&](const oci::Descriptor& other) {
      return other.digest == entry.digest;
    });
    if (!known) index.manifests.push_back(entry);
  };
  update_index(*this, tag, add, {.environment = session_->environment()}, std::move(stop));
}

}  // namespace strake::registry
