#include "registry/transfer_pace.h"

#include <limits>

namespace strake::registry {
namespace {

std::string seconds(std::chrono::milliseconds time) {
  return std::to_string((time.count() + 999) / 1000) + " s";
}

}  // namespace

TransferPace::TransferPace(const PaceLimits& limits, bool sending, Time now) : limits_(limits) {
  enter(sending ? Phase::sending : Phase::waiting, now);
}

void TransferPace::enter(Phase phase, Time now) {
  phase_ = phase;
  begin_ = now;
  bytes_ = 0;
  // A body's first half window has none before it that it could be too slow with.
  bytes_before_ = std::numeric_limits<std::uint64_t>::max() / 2;
}

void TransferPace::moved(std::uint64_t bytes) {
  bytes_ += bytes;
}

void TransferPace::sent(Time now) {
  if (phase_ == Phase::sending) enter(Phase::waiting, now);
}

void TransferPace::answered(Time now) {
  enter(Phase::receiving, now);
}

std::string TransferPace::problem(Time now) {
  if (phase_ == Phase::waiting) {
    if (now - begin_ < limits_.answer) return "";
    return "no answer within " + seconds(limits_.answer);
  }
  if (now - begin_ < limits_.window / 2) return "";
  const auto least =
      limits_.bytes_per_second * static_cast<std::uint64_t>(limits_.window.count()) / 1000;
  if (bytes_ + bytes_before_ < least) {
    return "less than " + std::to_string(least) + " bytes in " + seconds(limits_.window);
  }
  bytes_before_ = bytes_;
  bytes_ = 0;
  begin_ = now;
  return "";
}

}  // namespace strake::registry
