#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>

#include "registry/session.h"

namespace strake::registry {

/// The requests that uploads have in common. Spec: distribution-spec, "Pushing blobs".

/// Opens an upload to `to`.
Call open_upload(const oci::Repository& to);
/// Sends `length` bytes from `offset` on; the body is the caller's to add.
Call chunk_of_upload(const oci::Repository& to, const Url& upload, std::uint64_t offset,
                     std::uint64_t length);
/// Ends an upload of `size_bytes` altogether; a body may be added.
Call close_upload(const oci::Repository& to, const Url& upload, const base::Digest& digest,
                  std::uint64_t size_bytes);
/// Asks how much has arrived (GET), or gives the upload up (DELETE).
Call about_upload(const char* method, const oci::Repository& to, const Url& upload);

/// Tells the registry that an upload will not be finished. It forgets them by itself some day, so
/// whether this works does not matter: throws nothing.
void cancel_upload(Session& session, const oci::Repository& to, const Url& upload,
                   std::stop_token stop) noexcept;

/// How much of an upload is stored: a Range of "0-<last>", or, as many registries spell it,
/// "bytes=0-<last>". nullopt if it says nothing of that form. "0-0" is what registries say of an
/// empty upload as well; one byte is never worth more than nothing.
std::optional<std::uint64_t> stored_bytes_of(const HttpResponse& response);

/// OCI-Chunk-Min-Length of the answer to open_upload(), 0 if it says nothing of that.
std::uint64_t least_chunk_of(const HttpResponse& response);

/// Whether this answer to a chunk means that the registry knows none.
bool knows_no_chunks(const HttpResponse& response);

}  // namespace strake::registry
