#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "registry/ranged_download.h"
#include "registry/session.h"

namespace strake::registry {

class Transfers;

/// The download of one blob in as many requests, from as many places, as it takes. What arrived is
/// passed on once, and the next request asks for the rest. Servers that answer it with the whole
/// blob are fine: what is known already is skipped.
///
/// A big blob comes in segments, of which some are fetched ahead (SegmentsAhead); a server that
/// answers otherwise than asked is asked for the rest in one piece.
class BlobDownload {
 public:
  /// Goes on behind what `to` has.
  BlobDownload(Session& session, Transfers& transfers, const oci::Descriptor& blob,
               ResumableSink& to);

  /// Gets what is missing from `place`, and verifies the whole. What is wrong is dropped and
  /// fetched again if the sink can do that. Throws as Client::get_blob; what arrived stays, so that
  /// another place can go on.
  void fetch_from(const oci::Repository& place, Patience patience, std::stop_token stop);

 private:
  /// Where the body of one response goes.
  class Part;
  /// Bytes that are asked for: [begin, end).
  struct Range {
    std::uint64_t begin, end;
  };

  std::optional<HttpResponse> advance(const oci::Repository& place, std::stop_token stop);
  std::optional<HttpResponse> request(const oci::Repository& place, Range range,
                                      std::stop_token stop);
  std::optional<Segment> fetch_ahead(const oci::Repository& place, std::uint64_t number,
                                     std::stop_token stop);
  Call call_for(const oci::Repository& place, Range range, bool ranged) const;
  bool drop_what_is_wrong();
  void fetch_others_ahead(const oci::Repository& place);
  Range segment(std::uint64_t number) const;
  std::uint64_t begin_of(const HttpResponse& head, Range asked, bool ranged);
  void receive(std::span<const std::byte> bytes);
  void verify();
  [[noreturn]] void refuse(std::string why);
  std::string what() const;

  Session& session_;
  Transfers& transfers_;
  const oci::Descriptor& blob_;
  ResumableSink& to_;
  const std::uint64_t segment_bytes_;
  const oci::Repository* place_ = nullptr;  // of the current attempts
  std::uint64_t received_bytes_;
  bool wrong_ = false;    // why the last attempt failed: the answer was not the blob
  bool spoiled_ = false;  // among what was received are wrong bytes
  bool ranges_ = true;    // false once the server got a range wrong
  std::atomic<bool> segmented_ = false;
  std::unique_ptr<SegmentsAhead> ahead_;  // once a segment came as asked for
};

}  // namespace strake::registry
