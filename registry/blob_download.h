#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "layers/base/stream.h"
#include "registry/session.h"

namespace strake::registry {

/// The download of one blob in as many requests as it takes: what arrived is hashed and passed on
/// once, and the next request asks for the rest. Servers that answer it with the whole blob are
/// fine: what is known already is skipped.
class BlobDownload {
 public:
  BlobDownload(Session& session, const oci::Repository& from, const oci::Descriptor& blob,
               base::ByteSink& to);

  /// Throws as Client::get_blob.
  void run(std::stop_token stop);

 private:
  /// Where the body of one response goes.
  class Part;

  Call request() const;
  HttpResponse attempt(std::stop_token stop);
  std::uint64_t begin_of(const HttpResponse& head);
  void receive(std::span<const std::byte> bytes);
  void finish();
  std::string what() const;

  Session& session_;
  const oci::Repository& from_;
  const oci::Descriptor& blob_;
  base::ByteSink& to_;
  base::Sha256 sha256_;
  std::uint64_t received_bytes_ = 0;
  bool ranges_ = true;  // false once the server got a range wrong
};

}  // namespace strake::registry
