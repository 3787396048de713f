#include "registry/client.h"

#include <nlohmann/json.hpp>

#include "layers/base/error.h"
#include "layers/base/log.h"
#include "layers/oci/json.h"
#include "registry/blob_download.h"
#include "registry/body.h"
#include "registry/decimal.h"
#include "registry/pages.h"
#include "registry/registry_error.h"
#include "registry/session.h"
#include "registry/transfers.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

/// All types that are understood: a registry converts, or answers 404, for those left out.
std::string accepted_types() {
  std::string types;
  for (const std::string_view type :
       {oci::media_type::kOciIndex, oci::media_type::kOciManifest, oci::media_type::kDockerIndex,
        oci::media_type::kDockerManifest}) {
    types.append(types.empty() ? "" : ", ").append(type);
  }
  return types;
}

Call manifest_call(const char* method, const oci::Repository& repository, const std::string& name) {
  Call call{.method = method,
            .repository = repository,
            .target = "/v2/" + repository.path + "/manifests/" + name,
            .scopes = {scope_of(repository, Access::pull)}};
  call.headers.add("Accept", accepted_types());
  return call;
}

/// What a manifest is fetched by.
std::string name_of(const oci::Reference& reference) {
  return reference.digest ? reference.digest->str() : reference.tag.value_or("latest");
}

/// Without parameters; "" for the types of servers that do not know better.
std::string media_type_of(const HttpResponse& response) {
  std::string_view type = response.headers.get("Content-Type");
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  for (const std::string_view vague :
       {"application/json", "application/octet-stream", "text/plain"}) {
    if (type == vague) return "";
  }
  return std::string(type);
}

std::optional<base::Digest> digest_header(const HttpResponse& response) {
  try {
    return base::Digest::parse(response.headers.get("Docker-Content-Digest"));
  } catch (const Error&) {
    return std::nullopt;  // absent, or of an algorithm not used here
  }
}

/// The descriptor a HEAD of a manifest gives; nullopt when a header is missing.
std::optional<oci::Descriptor> descriptor_from_headers(const HttpResponse& response,
                                                       const oci::Reference& reference) {
  const std::string media_type = media_type_of(response);
  const std::optional<std::uint64_t> length = parse_decimal(response.headers.get("Content-Length"));
  const std::optional<base::Digest> digest =
      reference.digest ? reference.digest : digest_header(response);
  const bool usable = oci::is_index(media_type) || oci::is_manifest(media_type);
  if (!usable || !digest || !length || *length == 0 || *length > kManifestLimitBytes) {
    return std::nullopt;
  }
  return oci::Descriptor{media_type, *digest, *length};
}

Error login_hint(Error error, const oci::Repository& repository, Access access) {
  if (error.code() == ErrorCode::denied) {
    const std::string rights = access == Access::push ? "push" : "pull";
    error.set_hint("log in to " + base::quoted(repository.host) + " with the right to " + rights +
                   " " + base::quoted(repository.path) + ", or check the name");
  }
  return error;
}

/// Runs `read` at each place that may have what `repository` has, until one succeeds.
template <typename Read>
auto read_somewhere(Session& session, const oci::Repository& repository, bool by_digest,
                    Mirrors mirrors, Read read) {
  if (mirrors == Mirrors::passed_by) return read(repository, Patience::full);
  for (PlacesToTry places = session.places(repository, by_digest);;) {
    try {
      return read(places.current(), places.is_last() ? Patience::full : Patience::little);
    } catch (const Error& error) {
      if (!places.go_on(error)) throw places.explained(error);
    }
  }
}

/// Runs `fetch` and gives what came to `check`; both again if that finds it wrong: it may have been
/// damaged on the way. What is wrong twice in the same way is what the registry has.
template <typename Fetch, typename Check>
auto fetch_undamaged(Retry retry, const std::stop_token& stop, Fetch fetch, Check check) {
  for (std::string last;;) {
    auto fetched = fetch();
    try {
      return check(std::move(fetched));
    } catch (const Error& e) {
      if (last == e.what() || !retry.wait(stop)) throw;
      last = e.what();
      base::log_debug("asking again: " + last);
    }
  }
}

/// A name for messages: what the user asked for, and where it was looked for if that is elsewhere.
std::string shown_at(const std::string& asked, const oci::Repository& repository,
                     const oci::Repository& place) {
  return place == repository ? asked : asked + " at " + place.str();
}

/// A sink whose bytes cannot be taken back.
class OnePass final : public ResumableSink {
 public:
  explicit OnePass(base::ByteSink& to) : to_(to) {}

  void write(std::span<const std::byte> bytes) override {
    sha256_.update(bytes);
    size_bytes_ += bytes.size();
    to_.write(bytes);
  }
  std::uint64_t size_bytes() const override { return size_bytes_; }
  base::Digest digest() const override { return sha256_.digest(); }
  bool restart() override { return false; }

 private:
  base::ByteSink& to_;
  base::Sha256 sha256_;
  std::uint64_t size_bytes_ = 0;
};

/// A small blob in memory.
struct TextSink final : ResumableSink {
  void write(std::span<const std::byte> bytes) override { text += base::text_of(bytes); }
  std::uint64_t size_bytes() const override { return text.size(); }
  base::Digest digest() const override { return base::Digest::of(text); }
  bool restart() override {
    text.clear();
    return true;
  }

  std::string text;
};

struct Fetched {
  std::string bytes;
  HttpResponse response;
};

Fetched fetch_manifest(Session& session, const oci::Repository& repository, const std::string& name,
                       const std::string& shown, std::stop_token stop, Patience patience) {
  Call call = manifest_call("GET", repository, name);
  std::optional<LimitedStringSink> body;
  call.route = [&](const HttpResponse& head) {
    // What stands between says so when it is out of order.
    if (media_type_of(head) == "text/html") {
      throw Error(ErrorCode::unavailable,
                  "a web page came in place of the manifest of " + base::quoted(shown));
    }
    return &body.emplace(kManifestLimitBytes, "manifest of " + base::quoted(shown));
  };
  HttpResponse response = session.send_with_retries(call, std::move(stop), patience);
  if (!response.ok()) {
    throw login_hint(registry_error("cannot fetch manifest of " + base::quoted(shown), response),
                     repository, Access::pull);
  }
  return {body ? std::move(body->text) : "", std::move(response)};
}

void check_digest(const base::Digest& got, const base::Digest& want, const std::string& shown) {
  if (got == want) return;
  throw Error(ErrorCode::corrupt, "manifest of " + base::quoted(shown) +
                                      " has other content: its digest is " + got.str() + ", not " +
                                      want.str());
}

}  // namespace

Client::Client(HttpTransport& http, const Credentials& credentials, ClientOptions options)
    : session_(std::make_unique<Session>(http, credentials, options)),
      transfers_(std::make_unique<Transfers>(options)) {}
Client::~Client() = default;

const TransferSizes& Client::sizes() const noexcept {
  return transfers_->sizes;
}

void Client::prepare() {
  session_->prepare();
}

void Client::ping(const std::string& host, std::stop_token stop) {
  const Call call{.repository = {host, ""}, .target = "/v2/"};
  const HttpResponse response = session_->send_with_retries(call, std::move(stop));
  if (!response.ok()) {
    throw registry_error("cannot use registry " + base::quoted(host), response);
  }
}

oci::Descriptor Client::resolve(const oci::Reference& reference, std::stop_token stop,
                                Mirrors mirrors) {
  const auto resolve_at = [&](const oci::Repository& place,
                              Patience patience) -> std::optional<oci::Descriptor> {
    const HttpResponse head = session_->send_with_retries(
        manifest_call("HEAD", place, name_of(reference)), stop, patience);
    if (head.status == 404 || is_retryable_status(head.status)) {
      const std::string shown = shown_at(reference.familiar(), reference.repository, place);
      throw registry_error("cannot resolve " + base::quoted(shown), head);
    }
    return head.ok() ? descriptor_from_headers(head, reference) : std::nullopt;
  };
  auto descriptor = read_somewhere(*session_, reference.repository, reference.digest.has_value(),
                                   mirrors, resolve_at);
  if (descriptor) return *std::move(descriptor);
  // Some registries do not allow HEAD or leave headers out; and only a GET explains a refusal.
  return get_manifest(reference, std::move(stop), mirrors).descriptor;
}

oci::Document<oci::ManifestOrIndex> Client::get_manifest(const oci::Reference& reference,
                                                         std::stop_token stop, Mirrors mirrors) {
  const auto get_at = [&](const oci::Repository& place, Patience patience) {
    const std::string shown = shown_at(reference.familiar(), reference.repository, place);
    const auto fetch = [&] {
      return fetch_manifest(*session_, place, name_of(reference), shown, stop, patience);
    };
    const auto check = [&](Fetched fetched) {
      const std::string media_type = media_type_of(fetched.response);
      const base::Digest digest = base::Digest::of(fetched.bytes);
      if (reference.digest) {
        check_digest(digest, *reference.digest, shown);
      } else if (const auto claimed = digest_header(fetched.response)) {
        check_digest(digest, *claimed, shown);
      }
      return oci::parse_manifest(std::move(fetched.bytes), media_type);
    };
    return fetch_undamaged(session_->new_retry(patience), stop, fetch, check);
  };
  return read_somewhere(*session_, reference.repository, reference.digest.has_value(), mirrors,
                        get_at);
}

oci::Document<oci::ManifestOrIndex> Client::get_manifest(const oci::Repository& repository,
                                                         const oci::Descriptor& descriptor,
                                                         std::stop_token stop) {
  const std::string name = descriptor.digest.str();
  const auto get_at = [&](const oci::Repository& place, Patience patience) {
    const std::string shown = place.str() + "@" + name;
    const auto fetch = [&] {
      return fetch_manifest(*session_, place, name, shown, stop, patience);
    };
    const auto check = [&](Fetched fetched) {
      check_digest(base::Digest::of(fetched.bytes), descriptor.digest, shown);
      if (fetched.bytes.size() != descriptor.size) {
        throw Error(ErrorCode::corrupt, "manifest of " + base::quoted(shown) +
                                            " has another size: got " +
                                            std::to_string(fetched.bytes.size()) + " bytes, want " +
                                            std::to_string(descriptor.size));
      }
      return oci::parse_manifest(std::move(fetched.bytes), descriptor.media_type);
    };
    return fetch_undamaged(session_->new_retry(patience), stop, fetch, check);
  };
  return read_somewhere(*session_, repository, true, Mirrors::used, get_at);
}

void Client::get_blob(const oci::Repository& from, const oci::Descriptor& blob, base::ByteSink& to,
                      std::stop_token stop) {
  OnePass once(to);
  get_blob({&from, 1}, blob, once, std::move(stop));
}

void Client::get_blob(std::span<const oci::Repository> places, const oci::Descriptor& blob,
                      ResumableSink& to, std::stop_token stop) {
  BlobDownload download(*session_, *transfers_, blob, to);
  for (const oci::Repository& repository : places) {
    const auto fetch = [&](const oci::Repository& place, Patience patience) {
      download.fetch_from(place, patience, stop);
    };
    try {
      return read_somewhere(*session_, repository, true, Mirrors::used, fetch);
    } catch (const Error& e) {
      const bool last = &repository == &places.back();
      if (last || !is_about_the_place(e)) throw login_hint(e, repository, Access::pull);
      base::log_debug(std::string(e.what()) + "; trying the next place");
    }
  }
}

std::string Client::read_blob(const oci::Repository& from, const oci::Descriptor& blob,
                              std::size_t limit_bytes, std::stop_token stop) {
  const std::string subject = "blob " + blob.digest.str() + " of " + base::quoted(from.str());
  if (blob.size > limit_bytes) {
    throw Error(ErrorCode::corrupt,
                subject + " is larger than " + std::to_string(limit_bytes) + " bytes");
  }
  TextSink sink;
  get_blob({&from, 1}, blob, sink, std::move(stop));
  return std::move(sink.text);
}

bool Client::has_blob(const oci::Repository& in, const base::Digest& digest, std::stop_token stop) {
  const Call call{.method = "HEAD",
                  .repository = in,
                  .target = "/v2/" + in.path + "/blobs/" + digest.str(),
                  .scopes = {scope_of(in, Access::pull)}};
  // A registry that does not say (403 before the first push, 405) may still take the upload.
  return session_->send_with_retries(call, std::move(stop)).ok();
}

std::vector<std::string> Client::list_tags(const oci::Repository& repository,
                                           std::stop_token stop) {
  std::vector<std::string> tags;
  Call call{.repository = repository,
            .target = "/v2/" + repository.path + "/tags/list?n=1000",
            .scopes = {scope_of(repository, Access::pull)}};
  for (int page = 0; page < kMostPages; ++page) {
    std::optional<LimitedStringSink> body;
    call.route = [&](const HttpResponse&) {
      return &body.emplace(kManifestLimitBytes, "tag list");
    };
    const HttpResponse response = session_->send_with_retries(call, stop);
    const std::string what = "cannot list the tags of " + base::quoted(repository.str());
    if (!response.ok()) {
      throw login_hint(registry_error(what, response), repository, Access::pull);
    }
    const nlohmann::json document = oci::parse_json(body ? body->text : "", "tag list");
    for (std::string& tag : oci::strings_member(document, "tags")) tags.push_back(std::move(tag));
    if (!turn_page(call, response)) break;
  }
  return tags;
}

}  // namespace strake::registry
