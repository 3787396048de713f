#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "layers/base/error.h"
#include "layers/oci/reference.h"
#include "registry/retry.h"

namespace strake::registry {

/// Whether another place may do better than the one that failed so. What this machine or the user
/// does ends a read.
bool is_about_the_place(const base::Error& error);

/// Which mirrors did not answer lately: they are not asked again for a while. Thread-safe.
class MirrorHealth {
 public:
  explicit MirrorHealth(std::function<Clock::time_point()> now) : now_(std::move(now)) {}

  void set_down(const std::string& host);
  bool is_down(const std::string& host) const;

 private:
  const std::function<Clock::time_point()> now_;
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::string, Clock::time_point> down_until_;
};

/// The way of one read through the places it may be done at: mirrors first, the registry itself
/// last. A read is tried at current(); when it fails, go_on() says whether to try again there.
///
///     for (PlacesToTry places(…);;) {
///       try {
///         return read(places.current());
///       } catch (const Error& error) {
///         if (!places.go_on(error)) throw places.explained(error);
///       }
///     }
class PlacesToTry {
 public:
  /// `places` is not empty. Mirrors that are down are left out, the last place never is.
  PlacesToTry(std::vector<oci::Repository> places, MirrorHealth& health);

  const oci::Repository& current() const { return places_[current_]; }
  /// The registry itself: retried with patience, and its word is final.
  bool is_last() const { return current_ + 1 == places_.size(); }

  /// Moves to the next place, unless this was the last one or no other place can help (cancelled,
  /// a failure of this machine). The reason is logged, and kept for explained().
  bool go_on(const base::Error& error);

  /// `error` of the last place, and why each place before it failed.
  base::Error explained(base::Error error) const;

 private:
  std::vector<oci::Repository> places_;
  MirrorHealth& health_;
  std::size_t current_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace strake::registry
