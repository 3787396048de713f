#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "registry/stream_limit.h"

namespace strake::registry {

/// A segment of a blob, waiting in memory for its turn.
struct Segment {
  std::vector<std::byte> bytes;
  std::optional<StreamLimit::Slot> memory = std::nullopt;  // its share of what may wait
};

/// Fetches segments of one blob before it is their turn, while somebody else delivers those before
/// them in order. Segments are numbered from 0; of those behind the one whose turn it is, as many
/// as there are workers are fetched or waiting at a time.
///
/// Nothing here is needed for the blob to arrive: a segment that could not be fetched (no stream is
/// free, the server failed) is left to whoever delivers, who has retries.
class SegmentsAhead {
 public:
  /// Fetches a segment; nullopt if that cannot be now, because others want the streams or the
  /// memory. Called from several threads. Its errors are logged, not thrown.
  using Fetch = std::function<std::optional<Segment>(std::uint64_t number, std::stop_token stop)>;

  /// Begins behind segment `turn`; there are `count` in all.
  SegmentsAhead(Fetch fetch, std::uint64_t turn, std::uint64_t count, int workers);
  /// Stops what is being fetched.
  ~SegmentsAhead();

  /// It is the turn of segment `number`: what was fetched of it ahead, waiting for the end if it is
  /// under way. nullopt if the caller has to fetch it. Throws Error(cancelled).
  std::optional<Segment> take(std::uint64_t number, std::stop_token stop);

 private:
  void work(std::stop_token stop);
  std::optional<std::uint64_t> next_wanted() const;

  const Fetch fetch_;
  const std::uint64_t count_;
  const std::uint64_t window_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::uint64_t turn_;
  std::map<std::uint64_t, std::optional<Segment>> begun_;  // without a value: under way
  std::vector<std::jthread> workers_;                      // joined before the rest goes
};

}  // namespace strake::registry
