#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/digest.h"
#include "layers/base/fd.h"
#include "layers/base/growing_file.h"
#include "layers/base/stream.h"
#include "layers/oci/descriptor.h"
#include "layers/oci/manifest.h"
#include "layers/oci/reference.h"
#include "registry/credentials.h"
#include "registry/http.h"
#include "registry/registries.h"
#include "registry/retry.h"

namespace strake::registry {

inline constexpr std::size_t kManifestLimitBytes = 4 << 20;
inline constexpr std::size_t kConfigLimitBytes = 8 << 20;

/// From which sizes on blobs are moved how. Tests make them small.
struct TransferSizes {
  /// Blobs up to this size are uploaded in one request, others in chunks.
  std::uint64_t monolithic_bytes = 64 << 20;
  /// A chunk: below the 100 MB to which proxies cap bodies. More if the registry asks for more.
  std::uint64_t chunk_bytes = 64 << 20;
  /// A blob that is uploaded while it is made goes in chunks of at least this, and not at all so if
  /// it is smaller.
  std::uint64_t streamed_bytes = 8 << 20;
  /// Blobs from this size on are downloaded in segments, some of which are fetched ahead on streams
  /// that nobody else wants.
  std::uint64_t ranged_bytes = 128 << 20;
  std::uint64_t segment_bytes = 16 << 20;  // at most: less for blobs of less than 8 GiB
  /// Segments that wait in memory for their turn, at most; of all blobs together.
  int segments_ahead = 4;
};

struct ClientOptions {
  /// How each registry is spoken to, its mirrors, what is blocked.
  Registries registries = {};
  /// Adds what files say to `registries`, when the first request is made: a build whose steps are
  /// all cached reads none of them.
  std::function<void(Registries&)> add_registries = {};
  /// Hosts that may be given credentials when a registry names them as its token server.
  std::set<std::string> trusted_realm_hosts = {};
  /// Redirects from a public registry to a private address are followed.
  bool allow_private_redirects = false;
  /// Directories with a folder for each registry that holds ca.crt, client.cert, client.key.
  std::vector<std::string> certificate_directories = {"/etc/docker/certs.d",
                                                      "/etc/containers/certs.d"};
  int streams_per_registry = 6;
  TransferSizes sizes = {};
  /// Where unfinished uploads are remembered for the next process (0700, made when needed): what is
  /// there may hold signed URLs. "" keeps them in memory only.
  std::filesystem::path upload_directory = {};
  /// The command of a courier: see courier.h. Empty: chunks are sent by this process.
  std::vector<std::string> courier = {};
  RetryPolicy retry = {};
  RetryEnvironment environment = RetryEnvironment::real();
};

/// Whether a read may be answered by mirrors. They may lag behind: what is read to be changed is
/// read from the registry itself.
enum class Mirrors { used, passed_by };

class Session;    // scheme, authorization, redirects and retries of each registry
class Transfers;  // what uploads and downloads share: see transfers.h

/// Gives the bytes of a blob from `offset` on, each time it is called: uploads that broke go on
/// where the registry says.
using BlobOpener = std::function<std::unique_ptr<base::ByteSource>(std::uint64_t offset)>;

/// The bytes of a blob to upload.
struct BlobBytes {
  BlobOpener open;
  /// The same from a file of the blob alone, if there is one: then the upload of a big blob
  /// outlives this process (ClientOptions::courier).
  std::function<base::FileDescriptor()> open_file = {};
  /// Told how much was sent, where that does not show by reading from what `open` gave.
  std::function<void(std::uint64_t)> sent = {};
};

/// A sink that knows what it has: a download into it goes on behind that, and begins again where
/// what came turns out wrong.
struct ResumableSink : base::ByteSink {
  /// How many bytes it has; those of earlier attempts and processes count.
  virtual std::uint64_t size_bytes() const = 0;
  /// The digest of all of them.
  virtual base::Digest digest() const = 0;
  /// Drops them all; false if they cannot be taken back.
  virtual bool restart() = 0;
};

/// Where an upload that the registry opened is to be sent.
struct UploadSession {
  std::string location;
};

/// The registry answers a mount it refuses with an upload session, which put_blob can use.
struct MountResult {
  bool mounted = false;
  std::optional<UploadSession> session = std::nullopt;
};

/// What a registry said when it took a manifest.
struct ManifestReceipt {
  /// It lists the manifest among the referrers of its subject (it answered with OCI-Subject).
  bool lists_referrer = false;
};

/// The verbs of the distribution specification. One object per process; thread-safe: at most
/// `streams_per_registry` requests run at once against one registry, others wait in turn.
///
/// What is read (manifests and blobs, not lists) is looked for at the mirrors of its registry
/// first, what is written goes to the registry itself. An error of a read has a note for each
/// mirror.
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

  /// Does what the first request would have to wait for, if nothing did yet: loads libraries.
  void prepare();
  /// Succeeds if the registry answers and takes the user's credentials.
  void ping(const std::string& host, std::stop_token stop = {});
  /// Throws Error(denied) unless blobs may be uploaded to `repository`: opens an upload, which is
  /// for put_blob() or cancel_upload().
  UploadSession check_push_permission(const oci::Repository& repository, std::stop_token stop = {});
  /// Tells the registry that no blob comes. Throws nothing: it forgets uploads by itself some day.
  void cancel_upload(const oci::Repository& repository, const UploadSession& session,
                     std::stop_token stop = {}) noexcept;

  const TransferSizes& sizes() const noexcept;

  /// Type, digest and size of what `reference` names now, without fetching it (HEAD, which
  /// registries do not count as a pull; GET where that does not tell). Throws Error(not_found).
  oci::Descriptor resolve(const oci::Reference& reference, std::stop_token stop = {},
                          Mirrors mirrors = Mirrors::used);

  /// The manifest or index a reference names; its digest wins over its tag, and is verified.
  oci::Document<oci::ManifestOrIndex> get_manifest(const oci::Reference& reference,
                                                   std::stop_token stop = {},
                                                   Mirrors mirrors = Mirrors::used);
  /// The one that `descriptor` describes: digest, size and media type are verified.
  oci::Document<oci::ManifestOrIndex> get_manifest(const oci::Repository& repository,
                                                   const oci::Descriptor& descriptor,
                                                   std::stop_token stop = {});

  /// Streams a blob to `to`. A broken download is resumed where it ended. Throws Error(corrupt) as
  /// soon as there are more bytes than the descriptor says, or at the end unless size and digest
  /// are right: until this returns, nothing that `to` got can be trusted.
  void get_blob(const oci::Repository& from, const oci::Descriptor& blob, base::ByteSink& to,
                std::stop_token stop = {});
  /// The same, going on behind what `to` has already. `places` are repositories that should have
  /// the blob, the one to ask first in front: when one fails, the next goes on where it stopped.
  /// What has another digest is dropped and fetched again, a few times, before that is an error.
  void get_blob(std::span<const oci::Repository> places, const oci::Descriptor& blob,
                ResumableSink& to, std::stop_token stop = {});
  /// A small blob (an image config) as text. Throws Error(corrupt) beyond `limit_bytes`.
  std::string read_blob(const oci::Repository& from, const oci::Descriptor& blob,
                        std::size_t limit_bytes = kConfigLimitBytes, std::stop_token stop = {});

  bool has_blob(const oci::Repository& in, const base::Digest& digest, std::stop_token stop = {});

  /// Makes a blob of `from` known in `to`, on the same registry, without moving bytes. A refusal is
  /// not an error: the blob is to be uploaded then.
  MountResult mount_blob(const oci::Repository& to, const oci::Repository& from,
                         const base::Digest& digest, std::stop_token stop = {});

  /// Uploads a blob whether or not it is there: a small one in one request, a big one in chunks, so
  /// that an upload that broke, of this process or one before (ClientOptions::upload_directory),
  /// goes on where the registry says. `open` is called for each attempt. Throws Error(corrupt) when
  /// the registry refuses the digest, saying whether the blob or the registry is wrong.
  void put_blob(const oci::Repository& to, const oci::Descriptor& blob, const BlobBytes& bytes,
                std::optional<UploadSession> session = std::nullopt, std::stop_token stop = {});
  void put_blob(const oci::Repository& to, const oci::Descriptor& blob, const BlobOpener& open,
                std::optional<UploadSession> session = std::nullopt, std::stop_token stop = {}) {
    put_blob(to, blob, BlobBytes{open}, std::move(session), std::move(stop));
  }

  /// Uploads a blob while it is made, and returns soon after its end. True if the registry has it
  /// then; false if it does not, for whatever reason, and nothing is left of the upload: then
  /// put_blob() is to try. Small blobs are not for this: see TransferSizes::streamed_bytes.
  /// `sent` is told how much was sent, often. Throws Error(cancelled) only.
  bool stream_blob(const oci::Repository& to, const base::GrowingFile& blob,
                   const std::function<void(std::uint64_t)>& sent = {}, std::stop_token stop = {});

  /// Stores exactly `bytes` under the reference's tag, or its digest if it has no tag, and checks
  /// that the registry computed the same digest. Blobs and manifests it names must be there.
  /// A registry that refuses to move an immutable tag is fine if the tag has the same content.
  /// `send_blobs` is called, once, if the registry says that a blob is unknown to it (it may have
  /// said before that it has it): then the manifest is sent again.
  ManifestReceipt put_manifest(const oci::Reference& to, std::string_view bytes,
                               std::string_view media_type, std::stop_token stop = {},
                               const std::function<void()>& send_blobs = {});

  /// All tags of a repository, in the registry's order.
  std::vector<std::string> list_tags(const oci::Repository& repository, std::stop_token stop = {});

  /// Removes what `reference` names: with a digest the manifest and every tag of it, else the tag
  /// alone. Throws Error(not_found), and Error(unsupported) where the registry removes nothing, or
  /// no tags. Spec: "Deleting tags", "Deleting Manifests".
  void delete_manifest(const oci::Reference& reference, std::stop_token stop = {});

  /// The manifests that have `subject` as their subject, those of `artifact_type` only unless it is
  /// "". From the registry's own list, or where it has none from the tag "sha256-<hex>". None is
  /// an answer, also for a subject that is not there. Spec: "Listing Referrers".
  std::vector<oci::Descriptor> list_referrers(const oci::Repository& repository,
                                              const base::Digest& subject,
                                              std::string_view artifact_type = "",
                                              std::stop_token stop = {});

  /// Stores a manifest that has a subject, by its digest, so that list_referrers finds it: where
  /// the registry keeps no list, the index at the tag "sha256-<hex>" gets an entry for it (as safe
  /// as update_index() is). Spec: "Pushing Manifests with Subject".
  void push_referrer(const oci::Repository& to, const oci::Document<oci::Manifest>& manifest,
                     std::stop_token stop = {});

 private:
  bool names(const oci::Reference& reference, const base::Digest& digest, std::stop_token stop);
  std::optional<std::vector<oci::Descriptor>> listed_referrers(const oci::Repository& repository,
                                                               const base::Digest& subject,
                                                               std::string_view artifact_type,
                                                               std::stop_token stop);

  std::unique_ptr<Session> session_;
  std::unique_ptr<Transfers> transfers_;
};

}  // namespace strake::registry
