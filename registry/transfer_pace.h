#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace strake::registry {

struct PaceLimits {
  /// From the last byte of the request to the end of the answer's header, however slowly that
  /// comes.
  std::chrono::milliseconds answer{60'000};
  /// A body that moves slower than this, in either direction …
  std::uint64_t bytes_per_second = 1024;
  /// … on average over this time is given up.
  std::chrono::milliseconds window{60'000};
};

/// Tells when a peer is so slow that waiting for it is no use. Only bytes of bodies count: a server
/// can send header lines, or extensions of chunks, for ever. Not thread-safe.
class TransferPace {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `sending`: the request has a body.
  TransferPace(const PaceLimits& limits, bool sending, Time now);

  void moved(std::uint64_t bytes);
  /// The last byte of the request's body was handed over.
  void sent(Time now);
  /// The answer's header is complete.
  void answered(Time now);

  /// Why to give up, "" as long as there is hope.
  std::string problem(Time now);

 private:
  enum class Phase { sending, waiting, receiving };
  void enter(Phase phase, Time now);

  const PaceLimits limits_;
  Phase phase_;
  Time begin_;  // of the phase while waiting, else of the half window
  // Halves, so that a stall shows after one window and a half at most.
  std::uint64_t bytes_ = 0;         // of this half window
  std::uint64_t bytes_before_ = 0;  // of the one before
};

}  // namespace strake::registry
