#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "layers/base/digest.h"
#include "tests/support/http_exchange.h"

namespace strake::registry::testing {

using support::ServerRequest;
using support::ServerResponse;

/// A registry in memory that keeps the distribution specification's rules: blobs by repository,
/// mounts, uploads, manifests that may only name what is there. A handler for either transport.
class FakeRegistry {
 public:
  ServerResponse operator()(const ServerRequest& request) {
    const std::lock_guard lock(mutex_);
    const std::string path = request.path();
    if (path == "/v2/") return {};
    const std::string rest = path.substr(4);
    if (const auto at = rest.find("/blobs/uploads/"); at != rest.npos) {
      return upload(request, rest.substr(0, at), rest.substr(at + 15));
    }
    if (const auto at = rest.find("/blobs/"); at != rest.npos) {
      return blob(rest.substr(0, at), rest.substr(at + 7));
    }
    if (const auto at = rest.find("/manifests/"); at != rest.npos) {
      return manifest(request, rest.substr(0, at), rest.substr(at + 11));
    }
    return {.status = 404};
  }

  base::Digest add_blob(const std::string& repository, const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    const base::Digest digest = base::Digest::of(bytes);
    blobs_[repository][digest.str()] = bytes;
    return digest;
  }
  void add_manifest(const std::string& repository, const std::string& name,
                    const std::string& bytes, const std::string& media_type) {
    const std::lock_guard lock(mutex_);
    manifests_[repository][name] =
        manifests_[repository][base::Digest::of(bytes).str()] = {media_type, bytes};
  }
  bool has_blob(const std::string& repository, const base::Digest& digest) {
    const std::lock_guard lock(mutex_);
    return blobs_[repository].contains(digest.str());
  }
  std::string manifest(const std::string& repository, const std::string& name) {
    const std::lock_guard lock(mutex_);
    return manifests_[repository][name].second;
  }

  /// What an upload that is not finished has got; nullopt if there is none of that name.
  std::optional<std::string> unfinished(const std::string& upload) {
    const std::lock_guard lock(mutex_);
    const auto found = open_.find(upload);
    if (found == open_.end()) return std::nullopt;
    return found->second.bytes;
  }
  void forget_uploads() {
    const std::lock_guard lock(mutex_);
    open_.clear();
  }
  void forget_everything() {
    const std::lock_guard lock(mutex_);
    open_.clear();
    blobs_.clear();
    manifests_.clear();
    uploads_ = 0;
  }

  bool refuse_mounts = false;     // answers 202, as the specification allows
  bool renews_locations = false;  // each chunk is answered with another Location, the old one dies
  std::uint64_t least_chunk = 0;  // OCI-Chunk-Min-Length, kept

 private:
  ServerResponse blob(const std::string& repository, const std::string& digest) {
    const auto found = blobs_[repository].find(digest);
    if (found == blobs_[repository].end()) return {.status = 404};
    return {.headers = {{"Content-Length", std::to_string(found->second.size())}},
            .body = found->second};
  }

  ServerResponse upload(const ServerRequest& request, const std::string& repository,
                        const std::string& id) {
    if (request.method == "POST") {
      const std::string mount = decoded(request.query("mount"));
      const std::string from = decoded(request.query("from"));
      if (!mount.empty() && !refuse_mounts && blobs_[from].contains(mount)) {
        blobs_[repository][mount] = blobs_[from][mount];
        return {.status = 201};
      }
      const std::string name = std::to_string(++uploads_);
      open_[name] = {};
      ServerResponse response = upload_state(repository, name, 202);
      std::erase_if(response.headers, [](const auto& field) { return field.first == "Range"; });
      if (least_chunk > 0) {
        response.headers.emplace_back("OCI-Chunk-Min-Length", std::to_string(least_chunk));
      }
      return response;
    }
    const auto found = open_.find(id);
    if (found == open_.end() || request.query("_state") != found->second.state) {
      return {.status = 404, .body = R"({"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]})"};
    }
    if (request.method == "GET") return upload_state(repository, id, 204);
    if (request.method == "PATCH") return chunk(request, repository, id);
    const std::string bytes = found->second.bytes + request.body;
    open_.erase(found);
    if (request.method == "DELETE") return {.status = 204};
    const std::string digest = decoded(request.query("digest"));
    if (base::Digest::of(bytes).str() != digest) {
      return {.status = 400, .body = R"({"errors":[{"code":"DIGEST_INVALID"}]})"};
    }
    blobs_[repository][digest] = bytes;
    return {.status = 201};
  }

  ServerResponse upload_state(const std::string& repository, const std::string& id, int status) {
    const Upload& upload = open_[id];
    const std::size_t last = upload.bytes.empty() ? 0 : upload.bytes.size() - 1;
    return {.status = status,
            .headers = {{"Location",
                         "/v2/" + repository + "/blobs/uploads/" + id + "?_state=" + upload.state},
                        {"Range", "0-" + std::to_string(last)}}};
  }

  ServerResponse chunk(const ServerRequest& request, const std::string& repository,
                       const std::string& id) {
    Upload& upload = open_[id];
    const std::string range = request.header("Content-Range");
    if (range.substr(0, range.find('-')) != std::to_string(upload.bytes.size())) {
      return upload_state(repository, id, 416);
    }
    upload.bytes += request.body;
    if (renews_locations) upload.state += "s";
    return upload_state(repository, id, 202);
  }

  ServerResponse manifest(const ServerRequest& request, const std::string& repository,
                          const std::string& name) {
    auto& known = manifests_[repository];
    if (request.method == "PUT") {
      const std::string digest = base::Digest::of(request.body).str();
      for (std::size_t at = request.body.find("sha256:"); at != request.body.npos;
           at = request.body.find("sha256:", at + 1)) {
        const std::string named = request.body.substr(at, 71);
        if (!blobs_[repository].contains(named) && !known.contains(named)) {
          return {.status = 400, .body = R"({"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]})"};
        }
      }
      known[name] = known[digest] = {request.header("Content-Type"), request.body};
      return {.status = 201, .headers = {{"Docker-Content-Digest", digest}}};
    }
    const auto found = known.find(name);
    if (found == known.end()) {
      return {.status = 404,
              .body = R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})"};
    }
    const auto& [type, bytes] = found->second;
    return {.headers = {{"Content-Type", type},
                        {"Docker-Content-Digest", base::Digest::of(bytes).str()}},
            .body = bytes};
  }

  static std::string decoded(std::string text) {
    for (std::size_t at = 0; (at = text.find('%', at)) != text.npos; ++at) {
      text.replace(at, 3, 1, static_cast<char>(std::stoi(text.substr(at + 1, 2), nullptr, 16)));
    }
    return text;
  }

  std::mutex mutex_;
  std::map<std::string, std::map<std::string, std::string>> blobs_;
  std::map<std::string, std::map<std::string, std::pair<std::string, std::string>>> manifests_;
  struct Upload {
    std::string bytes;
    std::string state = "s";
  };
  std::map<std::string, Upload> open_;
  int uploads_ = 0;
};

}  // namespace strake::registry::testing
