#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "layers/oci/manifest.h"
#include "tests/registry/fake_registry.h"

namespace strake::registry::testing {

/// A FakeRegistry that also lists tags and, if wanted, referrers, and deletes. Like any registry it
/// serves each request at one instant.
class ListingRegistry {
 public:
  ServerResponse operator()(const ServerRequest& request) {
    const std::lock_guard lock(mutex_);
    const std::string path = request.path();
    if (before) before(request);
    if (path.ends_with("/tags/list")) return list(path.substr(4, path.size() - 14));
    if (const auto at = path.find("/referrers/"); at != path.npos)
      return referrers(request, path.substr(at + 11));
    const auto at = path.find("/manifests/");
    if (at == path.npos) return registry(request);
    const std::string repository = path.substr(4, at - 4), name = path.substr(at + 11);
    if (request.method == "DELETE") return erase(repository, name);
    ServerResponse response = registry(request);
    if (request.method != "PUT" || response.status != 201) return response;
    if (!name.starts_with("sha256:")) tags_[repository].insert(name);
    remember_referrer(request, response);
    return response;
  }

  FakeRegistry registry;
  bool lists_tags = true, lists_referrers = false;
  std::size_t page_size = 1000;  // of tags and of referrers
  std::set<std::string> hidden;  // tags that lists do not show
  std::function<void(const ServerRequest&)> before;
  std::function<int(const std::string& name)> delete_status = [](const std::string&) {
    return 202;
  };
  std::vector<std::string> deleted;

 private:
  ServerResponse list(const std::string& repository) {
    if (!lists_tags) return {.status = 403};
    std::string text;
    for (const std::string& tag : tags_[repository])
      if (!hidden.contains(tag)) text += (text.empty() ? "\"" : ",\"") + tag + "\"";
    return {.body = "{\"name\":\"" + repository + "\",\"tags\":[" + text + "]}"};
  }

  ServerResponse erase(const std::string& repository, const std::string& name) {
    const int status = delete_status(name);
    if (status < 300) {
      deleted.push_back(name);
      tags_[repository].erase(name);
    }
    return {.status = status};
  }

  void remember_referrer(const ServerRequest& request, ServerResponse& response) {
    auto document = oci::parse_manifest(request.body, request.header("Content-Type"));
    const auto* manifest = std::get_if<oci::Manifest>(&document.value);
    if (manifest == nullptr || !manifest->subject || !lists_referrers) return;
    oci::Descriptor entry = document.descriptor;
    entry.artifact_type = manifest->artifact_type;
    referrers_[manifest->subject->digest.str()].push_back(entry);
    response.headers.emplace_back("OCI-Subject", manifest->subject->digest.str());
  }

  ServerResponse referrers(const ServerRequest& request, const std::string& subject) {
    if (!lists_referrers) return {.status = 404};
    const std::vector<oci::Descriptor>& all = referrers_[subject];
    const std::string last = request.query("last");
    const std::size_t begin = last.empty() ? 0 : std::stoul(last);
    const std::size_t end = std::min(begin + page_size, all.size());
    oci::Index index{.manifests = {all.begin() + static_cast<std::ptrdiff_t>(begin),
                                   all.begin() + static_cast<std::ptrdiff_t>(end)}};
    ServerResponse response{.headers = {{"Content-Type", std::string(oci::media_type::kOciIndex)}},
                            .body = oci::make_index(std::move(index)).bytes};
    if (end < all.size())
      response.headers.emplace_back(
          "Link", "<" + request.path() + "?last=" + std::to_string(end) + ">; rel=\"next\"");
    return response;
  }

  std::recursive_mutex mutex_;  // `before` may make requests
  std::map<std::string, std::set<std::string>> tags_;
  std::map<std::string, std::vector<oci::Descriptor>> referrers_;
};

}  // namespace strake::registry::testing
