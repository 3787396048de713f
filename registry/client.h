#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/stream.h"
#include "layers/oci/descriptor.h"
#include "layers/oci/manifest.h"
#include "layers/oci/reference.h"
#include "registry/credentials.h"
#include "registry/http.h"
#include "registry/retry.h"

namespace strake::registry {

inline constexpr std::size_t kManifestLimitBytes = 4 << 20;
inline constexpr std::size_t kConfigLimitBytes = 8 << 20;

struct ClientOptions {
  /// Registries ("host" or "host:port") whose certificate is not verified and that may be spoken
  /// to in plain http when they have no TLS.
  std::set<std::string> insecure_hosts = {};
  /// Hosts that may be given credentials when a registry names them as its token server.
  std::set<std::string> trusted_realm_hosts = {};
  /// Redirects from a public registry to a private address are followed.
  bool allow_private_redirects = false;
  /// Directories with a folder for each registry that holds ca.crt, client.cert, client.key.
  std::vector<std::string> certificate_directories = {"/etc/docker/certs.d",
                                                      "/etc/containers/certs.d"};
  int streams_per_registry = 6;
  RetryPolicy retry = {};
  RetryEnvironment environment = RetryEnvironment::real();
};

class Session;  // scheme, authorization, redirects and retries of each registry

/// Gives the bytes of a blob from their beginning, each time it is called.
using BlobOpener = std::function<std::unique_ptr<base::ByteSource>()>;

/// Where an upload that the registry opened is to be sent.
struct UploadSession {
  std::string location;
};

/// The registry answers a mount it refuses with an upload session, which put_blob can use.
struct MountResult {
  bool mounted = false;
  std::optional<UploadSession> session = std::nullopt;
};

/// The verbs of the distribution specification. One object per process; thread-safe: at most
/// `streams_per_registry` requests run at once against one registry, others wait in turn.
///
/// Everything is retried where trying again is safe and may help (RetryPolicy). Credentials are
/// looked up when a registry asks for them, and are never sent to another origin. Errors name the
/// image, the registry, the HTTP status and what the registry said: denied, not_found, unavailable,
/// corrupt, cancelled. Spec: distribution-spec, "Pull" and "Push".
class Client {
 public:
  Client(HttpTransport& http, const Credentials& credentials, ClientOptions options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// Succeeds if the registry answers and takes the user's credentials.
  void ping(const std::string& host, std::stop_token stop = {});
  /// Throws Error(denied) unless blobs may be uploaded to `repository`: opens an upload and
  /// cancels it.
  void check_push_permission(const oci::Repository& repository, std::stop_token stop = {});

  /// Type, digest and size of what `reference` names now, without fetching it (HEAD, which
  /// registries do not count as a pull; GET where that does not tell). Throws Error(not_found).
  oci::Descriptor resolve(const oci::Reference& reference, std::stop_token stop = {});

  /// The manifest or index a reference names; its digest wins over its tag, and is verified.
  oci::Document<oci::ManifestOrIndex> get_manifest(const oci::Reference& reference,
                                                   std::stop_token stop = {});
  /// The one that `descriptor` describes: digest, size and media type are verified.
  oci::Document<oci::ManifestOrIndex> get_manifest(const oci::Repository& repository,
                                                   const oci::Descriptor& descriptor,
                                                   std::stop_token stop = {});

  /// Streams a blob to `to`. A broken download is resumed where it ended. Throws Error(corrupt) as
  /// soon as there are more bytes than the descriptor says, or at the end unless size and digest
  /// are right: until this returns, nothing that `to` got can be trusted.
  void get_blob(const oci::Repository& from, const oci::Descriptor& blob, base::ByteSink& to,
                std::stop_token stop = {});
  /// A small blob (an image config) as text. Throws Error(corrupt) beyond `limit_bytes`.
  std::string read_blob(const oci::Repository& from, const oci::Descriptor& blob,
                        std::size_t limit_bytes = kConfigLimitBytes, std::stop_token stop = {});

  bool has_blob(const oci::Repository& in, const base::Digest& digest, std::stop_token stop = {});

  /// Makes a blob of `from` known in `to`, on the same registry, without moving bytes. A refusal is
  /// not an error: the blob is to be uploaded then.
  MountResult mount_blob(const oci::Repository& to, const oci::Repository& from,
                         const base::Digest& digest, std::stop_token stop = {});

  /// Uploads a blob whether or not it is there. `open` is called for each attempt.
  void put_blob(const oci::Repository& to, const oci::Descriptor& blob, const BlobOpener& open,
                std::optional<UploadSession> session = std::nullopt, std::stop_token stop = {});

  /// Stores exactly `bytes` under the reference's tag, or its digest if it has no tag, and checks
  /// that the registry computed the same digest. Blobs and manifests it names must be there.
  /// A registry that refuses to move an immutable tag is fine if the tag has the same content.
  void put_manifest(const oci::Reference& to, std::string_view bytes, std::string_view media_type,
                    std::stop_token stop = {});

  /// All tags of a repository, in the registry's order.
  std::vector<std::string> list_tags(const oci::Repository& repository, std::stop_token stop = {});

 private:
  bool names(const oci::Reference& reference, const base::Digest& digest, std::stop_token stop);

  std::unique_ptr<Session> session_;
};

}  // namespace strake::registry
