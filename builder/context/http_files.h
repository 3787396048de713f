#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "builder/context/http_source.h"
#include "layers/base/digest.h"
#include "layers/oci/descriptor.h"

namespace strake::layers {
class Store;
class BlobStore;
}  // namespace strake::layers

namespace strake::builder {

/// The checksum of ADD: "sha256:<64 hex digits>". Throws Error(unsupported) for sha384 and sha512,
/// Error(invalid_input) for anything else.
base::Digest parse_checksum(std::string_view text);

struct HttpFileRequest {
  std::string url;
  std::string authorization;             // see http_authorization
  std::optional<base::Digest> checksum;  // what the file must be
  std::uint64_t limit_bytes = std::uint64_t{64} << 30;
};

/// A file that was fetched: a blob of the store.
struct HttpFile {
  oci::Descriptor blob;                       // the media type is application/octet-stream
  std::optional<std::int64_t> last_modified;  // seconds since 1970
  std::string content_type;                   // as sent, "" if unknown
  std::string disposition_name;               // "" if the server suggested no name
  bool downloaded = false;                    // false: the one fetched before is still right
};

/// Files of the web, kept as blobs. What was fetched is remembered by URL in memo/http/, so that
/// the next build asks only whether it changed (If-None-Match), and one with a checksum asks
/// nothing. A record that is missing or damaged, or whose blob was pruned, costs a download.
///
/// One object per build: it asks for a URL once, so that all steps and platforms see one version.
/// Thread-safe; processes that want the same URL at once share one download.
class HttpFiles {
 public:
  HttpFiles(registry::HttpTransport& http, const layers::Store& store,
            const layers::BlobStore& blobs, HttpSourceOptions options = {});

  /// Throws as HttpSource::get; Error(corrupt) with both digests if `checksum` is not what came.
  HttpFile fetch(const HttpFileRequest& request, std::stop_token stop);

 private:
  struct Known;

  HttpFile bring_up_to_date(const HttpFileRequest& request, std::stop_token stop);
  std::filesystem::path record_of(const std::string& url) const;
  std::optional<Known> recall(const std::string& url) const;
  void remember(const std::string& url, const Known& known) const;

  HttpSource source_;
  const layers::Store& store_;
  const layers::BlobStore& blobs_;
  std::mutex mutex_;                                                    // guards what follows
  std::map<std::pair<std::string, std::string>, HttpFile> up_to_date_;  // by URL and authorization
};

}  // namespace strake::builder
