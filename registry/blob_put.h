#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>

#include "registry/courier.h"
#include "registry/session.h"
#include "registry/transfers.h"

namespace strake::registry {

/// One blob on its way to a repository, in as many requests as it takes.
///
/// A small blob, and any blob where the registry knows no chunks, goes in one body ("monolithic"):
/// POST, then PUT. A big one goes in chunks: POST, a PATCH for each, an empty PUT. After anything
/// that went wrong the registry is asked what it has, and the upload goes on there; when it has
/// forgotten the upload, a new one begins. What is known of a chunked upload is recorded, so that
/// another process can go on (UploadSessions).
/// Spec: distribution-spec, "Pushing blobs" and "Pushing a blob in chunks".
class BlobPut {
 public:
  BlobPut(Session& session, Transfers& transfers, const oci::Repository& to,
          const oci::Descriptor& blob, const BlobBytes& bytes);

  /// Throws as Client::put_blob. `opened`: an upload to use, as of a mount that was refused.
  void run(const std::optional<UploadSession>& opened, std::stop_token stop);

 private:
  /// What a step gives: the response of a registry that refused it, nothing if it did not.
  using Refusal = std::optional<HttpResponse>;

  bool sends_bytes_next() const;
  Refusal step(std::stop_token stop);
  Refusal settle(std::stop_token stop);
  Refusal start(std::stop_token stop);
  Refusal send_chunk(std::stop_token stop);
  Refusal finish(std::stop_token stop);
  bool arrived(std::stop_token stop);

  Refusal take_record(std::stop_token stop);
  Refusal resume(std::stop_token stop);
  bool call_courier();
  HttpResponse deliver(const HttpRequest& request, std::stop_token stop);
  void accept_chunk(const HttpResponse& response, std::uint64_t length, std::stop_token stop);
  void chunk_refused(const HttpResponse& response);
  void digest_refused(const HttpResponse& response);
  void take_location(const HttpResponse& response, const std::string& requested,
                     std::stop_token stop);
  void forget();
  std::unique_ptr<base::ByteSource> body();
  base::Error error_of(const HttpResponse& response) const;

  Session& session_;
  Transfers& transfers_;
  const oci::Repository& to_;
  const oci::Descriptor& blob_;
  const BlobBytes& bytes_;
  UploadSessions::Record record_;

  std::optional<Url> location_;
  std::uint64_t stored_bytes_ = 0;            // that the registry has, unless in doubt
  std::uint64_t sent_bytes_ = 0;              // that it may have, in this upload
  std::uint64_t most_bytes_ = 0;              // that it ever had, in any
  std::uint64_t least_chunk_ = 0;             // OCI-Chunk-Min-Length
  bool no_courier_ = false;                   // none can be started
  bool own_record_ = false;                   // it is ours, or kept nowhere
  bool in_chunks_ = false;                    // or whole
  bool resumed_ = false;                      // the record was looked at
  bool in_doubt_ = false;                     // the last request may have done something, or not
  bool finishing_ = false;                    // the last PUT may have been taken
  bool there_ = false;                        // done
  std::optional<std::uint64_t> out_of_step_;  // refused (416) although the registry told it
  int chunks_refused_ = 0;
  int digests_refused_ = 0;
  base::FileDescriptor file_;                 // for the courier
  std::unique_ptr<Courier> courier_;          // ends before the record's lock goes
  std::unique_ptr<base::ByteSource> source_;  // goes on from chunk to chunk
  std::uint64_t source_position_ = 0;
};

}  // namespace strake::registry
