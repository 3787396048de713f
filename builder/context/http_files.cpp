#include "builder/context/http_files.h"

#include <charconv>
#include <vector>

#include "builder/dockerfile/source_url.h"
#include "builder/dockerfile/url_parts.h"
#include "layers/base/error.h"
#include "layers/base/files.h"
#include "layers/base/log.h"
#include "layers/blob_store.h"
#include "layers/store.h"

// A record, memo/http/<sha256 of the URL, hex>:
//   "strake-http 1 " <sha256 of the rest, hex> "\n"
//   one line each: digest, size, Last-Modified in seconds ("-" for none), ETag, Last-Modified as a
//   validator, content type, suggested file name
// It is replaced by rename and may be lost: nothing but time depends on it.

namespace strake::builder {
namespace {

using dockerfile::cut;
using dockerfile::Halves;
using dockerfile::shown_url;

using base::Error;
using base::ErrorCode;

constexpr std::string_view kMagic = "strake-http 1 ";
constexpr std::size_t kLines = 7;
constexpr std::size_t kLargestRecord = 256 * 1024;
constexpr const char* kMediaType = "application/octet-stream";

/// A blob in the making that can begin anew.
class BlobBody final : public HttpBody {
 public:
  explicit BlobBody(const layers::BlobStore& blobs) : blobs_(blobs) {}

  void write(std::span<const std::byte> bytes) override { writer().write(bytes); }
  void restart() override { writer_.reset(); }
  oci::Descriptor commit() { return writer().commit(kMediaType); }

 private:
  layers::BlobWriter& writer() {
    if (!writer_) writer_.emplace(blobs_.writer());
    return *writer_;
  }

  const layers::BlobStore& blobs_;
  std::optional<layers::BlobWriter> writer_;
};

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const Halves line = cut(text, '\n');
    lines.emplace_back(line.first);
    text = line.second;
  }
  return lines;
}

void check(const HttpFileRequest& request, const base::Digest& digest) {
  if (!request.checksum || *request.checksum == digest) return;
  throw Error(ErrorCode::corrupt, "checksum mismatch: " + shown_url(request.url) + " has digest " +
                                      digest.str() + ", want " + request.checksum->str())
      .hint("check the URL, or change the checksum if the file was meant to change");
}

}  // namespace

/// A version of a file, and how to ask whether it is still the right one.
struct HttpFiles::Known {
  HttpFile file;
  HttpValidators validators;
};

base::Digest parse_checksum(std::string_view text) {
  for (const std::string_view other : {"sha384:", "sha512:"})
    if (text.starts_with(other))
      throw Error(ErrorCode::unsupported,
                  "checksum " + base::quoted(text) + " is not sha256, the only one supported here")
          .hint("write sha256:<64 hexadecimal digits>, as sha256sum prints them");
  return base::Digest::parse(text);
}

HttpFiles::HttpFiles(registry::HttpTransport& http, const layers::Store& store,
                     const layers::BlobStore& blobs, HttpSourceOptions options)
    : source_(http, std::move(options)), store_(store), blobs_(blobs) {}

HttpFile HttpFiles::fetch(const HttpFileRequest& request, std::stop_token stop) {
  const std::pair key(request.url, request.authorization);
  const base::FileLock lock = store_.lock("http-" + base::Digest::of(request.url).hex());
  {
    const std::lock_guard guard(mutex_);
    if (const auto found = up_to_date_.find(key); found != up_to_date_.end()) {
      check(request, found->second.blob.digest);
      return found->second;
    }
  }
  const HttpFile file = bring_up_to_date(request, std::move(stop));
  const std::lock_guard guard(mutex_);
  return up_to_date_.insert_or_assign(key, file).first->second;
}

HttpFile HttpFiles::bring_up_to_date(const HttpFileRequest& request, std::stop_token stop) {
  std::optional<Known> known = recall(request.url);
  if (request.checksum && known) {
    if (known->file.blob.digest == *request.checksum) return known->file;
    known.reset();
  }
  HttpGet get{.url = request.url,
              .authorization = request.authorization,
              .known = known ? known->validators : HttpValidators(),
              .limit_bytes = request.limit_bytes};
  BlobBody body(blobs_);
  HttpAnswer answer = source_.get(get, body, std::move(stop));
  if (answer.not_modified) return known->file;

  const HttpFile file{.blob = body.commit(),
                      .last_modified = answer.last_modified,
                      .content_type = std::move(answer.content_type),
                      .disposition_name = std::move(answer.disposition_name),
                      .downloaded = true};
  check(request, file.blob.digest);
  remember(request.url, {file, std::move(answer.validators)});
  return file;
}

std::filesystem::path HttpFiles::record_of(const std::string& url) const {
  return store_.memo() / "http" / base::Digest::of(url).hex();
}

std::optional<HttpFiles::Known> HttpFiles::recall(const std::string& url) const {
  const std::optional<std::string> text = base::read_file(record_of(url), kLargestRecord);
  if (!text) return std::nullopt;
  const Halves record = cut(*text, '\n');
  if (record.first != std::string(kMagic) + base::Digest::of(record.second).hex())
    return std::nullopt;
  const std::vector<std::string> lines = lines_of(record.second);
  if (lines.size() != kLines) return std::nullopt;
  const auto size = number<std::uint64_t>(lines[1]);
  if (!size) return std::nullopt;
  Known known{{.blob = {.media_type = kMediaType,
                        .digest = base::Digest::from_hex(lines[0]),
                        .size = *size},
               .last_modified = number<std::int64_t>(lines[2]),
               .content_type = lines[5],
               .disposition_name = lines[6]},
              {lines[3], lines[4]}};
  if (blobs_.size(known.file.blob.digest) != *size) return std::nullopt;  // pruned
  return known;
}

void HttpFiles::remember(const std::string& url, const Known& known) const {
  const auto line = [](std::string_view value) {
    return std::string(cut(value, '\n').first) + "\n";
  };
  const HttpFile& file = known.file;
  const std::string rest = line(file.blob.digest.hex()) + line(std::to_string(file.blob.size)) +
                           line(file.last_modified ? std::to_string(*file.last_modified) : "-") +
                           line(known.validators.etag) + line(known.validators.last_modified) +
                           line(file.content_type) + line(file.disposition_name);
  base::make_directories(store_.memo() / "http");
  base::write_file_atomically(record_of(url),
                              std::string(kMagic) + base::Digest::of(rest).hex() + "\n" + rest,
                              0600, base::Durability::none);
}

}  // namespace strake::builder
