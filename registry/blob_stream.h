#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>

#include "layers/base/growing_file.h"
#include "registry/session.h"
#include "registry/transfers.h"
#include "registry/upload_calls.h"

namespace strake::registry {

/// Uploads a blob while it is made: POST, a PATCH for each piece that has come together, and when
/// the digest is known an empty PUT with it.
///
/// Nothing here is done twice, but for answers of a registry that is busy: whatever else goes wrong
/// the upload is cancelled, and the finished blob is uploaded as any other (BlobPut). Nothing is
/// recorded either: the file is gone with this process.
/// Spec: distribution-spec, "Pushing a blob in chunks".
class BlobStream {
 public:
  BlobStream(Session& session, Transfers& transfers, const oci::Repository& to,
             const base::GrowingFile& blob, const std::function<void(std::uint64_t)>& sent);

  /// As Client::stream_blob.
  bool run(std::stop_token stop);

 private:
  bool attempt(std::stop_token stop);
  bool open(std::stop_token stop);
  bool send_chunk(std::uint64_t length, std::stop_token stop);
  bool close(const base::GrowingFile::Progress& end, std::stop_token stop);
  HttpResponse send(const Call& call, std::stop_token stop);
  bool refused(const char* what, const HttpResponse& response) const;

  Session& session_;
  Transfers& transfers_;
  const oci::Repository& to_;
  const base::GrowingFile& blob_;
  const std::function<void(std::uint64_t)>& sent_;

  std::optional<Url> location_;     // of an upload that is open
  std::uint64_t stored_bytes_ = 0;  // in it
  std::uint64_t least_chunk_ = 0;   // worth a request, and what the registry takes
};

}  // namespace strake::registry
