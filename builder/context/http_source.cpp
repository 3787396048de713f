#include "builder/context/http_source.h"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "builder/dockerfile/source_url.h"
#include "builder/dockerfile/url_parts.h"
#include "layers/base/error.h"
#include "layers/base/log.h"
#include "registry/url.h"

namespace strake::builder {
namespace {

using dockerfile::disposition_file_name;
using dockerfile::shown_url;
using dockerfile::split_url;
using dockerfile::UrlParts;

using base::Error;
using base::ErrorCode;
using registry::HttpRequest;
using registry::HttpResponse;
using registry::Url;

constexpr int kLongestRedirectChain = 5;
/// An attempt that brought this much is worth others, however many failed before.
constexpr std::uint64_t kProgressBytes = 1 << 20;
/// A file that changed less than this before it was sent may change again within the same second.
constexpr std::int64_t kSettledSeconds = 60;

/// The URL in the form that goes over the wire: what users type may hold spaces and other bytes
/// that must be escaped, and a user name, which travels as a header.
Url wire_url(const std::string& text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  const std::optional<UrlParts> parts = split_url(text);
  if (!parts || (parts->scheme != "http" && parts->scheme != "https") || parts->host.empty())
    throw Error(ErrorCode::invalid_input, shown_url(text) + " is not a URL that can be fetched")
        .hint("write http://host/path or https://host/path");
  std::string plain = parts->scheme + "://" + parts->host;
  for (const char c : parts->path + (parts->query.empty() ? "" : "?" + parts->query)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '\\') {
      plain.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    } else {
      plain += c;
    }
  }
  try {
    return registry::parse_url(plain);
  } catch (const Error&) {  // its message is about what servers send
    throw Error(ErrorCode::invalid_input, shown_url(text) + " is not a well-formed URL")
        .hint("check host name and port");
  }
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (text.empty() || error != std::errc() || end != text.end()) return std::nullopt;
  return value;
}

/// Seconds since 1970 of an HTTP date in its present form (RFC 9110, 5.6.7).
std::optional<std::int64_t> http_date(std::string_view text) {
  std::tm date{};
  const std::string value(text);
  const char* end = ::strptime(value.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return ::timegm(&date);
}

bool is_strong(std::string_view etag) {
  return etag.starts_with('"');
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Error status_error(const HttpGet& request, int status) {
  const std::string what =
      "cannot fetch " + shown_url(request.url) + ": the server answered " + std::to_string(status);
  switch (status) {
    case 401:
    case 403:
      return Error(ErrorCode::denied, what)
          .hint("give a token with --secret id=HTTP_AUTH_TOKEN_<host>, or check the URL");
    case 404:
    case 410:
      return Error(ErrorCode::not_found, what + " (not found)").hint("check the URL");
    default:
      return Error(
          registry::is_retryable_status(status) ? ErrorCode::unavailable : ErrorCode::unsupported,
          what);
  }
}

HttpAnswer answer_of(const HttpResponse& response) {
  const auto& headers = response.headers;
  HttpAnswer answer;
  answer.validators.etag = headers.get("ETag");
  const std::string_view modified = headers.get("Last-Modified");
  answer.last_modified = http_date(modified);
  const std::optional<std::int64_t> now = http_date(headers.get("Date"));
  if (answer.last_modified && now && *now - *answer.last_modified >= kSettledSeconds)
    answer.validators.last_modified = modified;
  answer.content_type = headers.get("Content-Type");
  answer.disposition_name = disposition_file_name(headers.get("Content-Disposition"));
  return answer;
}

}  // namespace

/// One file in as many requests as it takes.
class HttpSource::Download {
 public:
  Download(HttpSource& source, const HttpGet& request, HttpBody& body)
      : source_(source), request_(request), body_(body), url_(wire_url(request.url)) {}

  HttpAnswer run(std::stop_token stop) {
    registry::Retry retry(source_.options_.retry, source_.options_.environment);
    for (;;) {
      const std::uint64_t before = received_bytes_;
      std::optional<HttpResponse> response;
      try {
        response = attempt(stop);
      } catch (Error& error) {
        if (received_bytes_ >= before + kProgressBytes) retry.progressed();
        if (error.code() == ErrorCode::unavailable && retry.wait(stop)) continue;
        error.add_context("fetching " + shown_url(request_.url));
        throw;
      }
      if (response->status == 304 && !request_.known.empty()) return not_modified(*response);
      if (response->ok()) return std::move(answer_);
      if (response->status == 416 && received_bytes_ > 0) {
        start_again();
        continue;
      }
      if (!registry::is_retryable_status(response->status) || !retry.wait(*response, stop))
        throw status_error(request_, response->status);
    }
  }

 private:
  /// What comes in one response.
  struct Part final : base::ByteSink {
    explicit Part(Download& whole) : download(whole) {}
    void write(std::span<const std::byte> bytes) override { download.receive(bytes); }
    Download& download;
  };

  HttpResponse attempt(std::stop_token stop) {
    HttpRequest request;
    request.headers.set("Accept", "*/*");
    if (!request_.authorization.empty())
      request.headers.set("Authorization", request_.authorization);
    if (received_bytes_ > 0 && is_strong(answer_.validators.etag)) {
      request.headers.set("Range", "bytes=" + std::to_string(received_bytes_) + "-");
      request.headers.set("If-Range", answer_.validators.etag);
    } else if (!request_.known.etag.empty()) {
      request.headers.set("If-None-Match", request_.known.etag);
    } else if (!request_.known.last_modified.empty()) {
      request.headers.set("If-Modified-Since", request_.known.last_modified);
    }
    Part part(*this);
    request.route = [&](const HttpResponse& head) -> base::ByteSink* {
      if (!head.ok()) return nullptr;
      begin(head);
      return &part;
    };
    return follow(request, stop);
  }

  HttpResponse follow(HttpRequest& request, std::stop_token stop) {
    Url url = url_;
    for (int hop = 0;; ++hop) {
      request.url = url.str();
      HttpResponse response = source_.http_.perform(request, stop);
      base::log_debug("http GET " + base::redacted(request.url) +
                      " status=" + std::to_string(response.status));
      if (!is_redirect(response.status)) return response;
      if (hop == kLongestRedirectChain)
        throw Error(ErrorCode::corrupt, shown_url(request_.url) + " redirects more than " +
                                            std::to_string(kLongestRedirectChain) + " times");
      Url next = registry::resolve_url(url, response.headers.get("Location"));
      check_redirect(url, next);
      // Credentials belong to one origin, and do not come back.
      if (next.origin != url.origin) request.headers.remove("Authorization");
      url = std::move(next);
    }
  }

  void check_redirect(const Url& from, const Url& to) const {
    const auto refuse = [&](std::string_view why) {
      throw Error(ErrorCode::denied, shown_url(request_.url) + " redirects to " +
                                         base::quoted(to.origin.str()) +
                                         ", which is refused: " + std::string(why));
    };
    if (from.origin.scheme == "https" && to.origin.scheme == "http") refuse("it is not https");
    if (registry::is_private_address(to.origin.host) &&
        !registry::is_private_address(url_.origin.host) &&
        !registry::is_loopback(url_.origin.host) && !source_.options_.allow_private_redirects)
      refuse("it is a private address, and the first one is not");
  }

  /// A body comes: the rest of what is here, or all of it again.
  void begin(const HttpResponse& head) {
    const std::optional<std::uint64_t> length = number(head.headers.get("Content-Length"));
    if (head.status == 206) {
      const std::string range = "bytes " + std::to_string(received_bytes_) + "-";
      if (received_bytes_ == 0 || !head.headers.get("Content-Range").starts_with(range)) {
        start_again();
        throw Error(ErrorCode::unavailable, "the server sent another range than it was asked for");
      }
    } else {
      if (received_bytes_ > 0) start_again();
      answer_ = answer_of(head);
    }
    if (length && *length > request_.limit_bytes - received_bytes_) too_large();
  }

  void receive(std::span<const std::byte> bytes) {
    if (bytes.size() > request_.limit_bytes - received_bytes_) too_large();
    received_bytes_ += bytes.size();
    body_.write(bytes);
  }

  [[noreturn]] void too_large() const {
    throw Error(ErrorCode::corrupt, shown_url(request_.url) + " is larger than " +
                                        std::to_string(request_.limit_bytes) + " bytes");
  }

  void start_again() {
    received_bytes_ = 0;
    body_.restart();
  }

  HttpAnswer not_modified(const HttpResponse& response) {
    HttpAnswer answer = answer_of(response);
    answer.not_modified = true;
    // A server need not repeat what was asked about.
    if (answer.validators.etag.empty()) answer.validators.etag = request_.known.etag;
    return answer;
  }

  HttpSource& source_;
  const HttpGet& request_;
  HttpBody& body_;
  const Url url_;
  HttpAnswer answer_;  // of the response that the body began with
  std::uint64_t received_bytes_ = 0;
};

HttpSource::HttpSource(registry::HttpTransport& http, HttpSourceOptions options)
    : http_(http), options_(std::move(options)) {}

HttpAnswer HttpSource::get(const HttpGet& request, HttpBody& body, std::stop_token stop) {
  return Download(*this, request, body).run(std::move(stop));
}

}  // namespace strake::builder
