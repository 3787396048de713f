#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string_view>

#include "layers/base/error.h"
#include "registry/http.h"

namespace strake::registry {

using Clock = std::chrono::steady_clock;

struct RetryPolicy {
  int attempts = 6;
  /// Of a session that got answers before: what worked a moment ago is waited for longer, as long
  /// as a registry takes to start again.
  int attempts_once_reached = 9;
  std::chrono::milliseconds first_delay{250};  // doubled for each further attempt
  std::chrono::milliseconds longest_delay{20'000};
  std::chrono::seconds longest_retry_after{60};
  std::chrono::seconds budget{300};  // no attempt starts later than this after the first
};

/// Time and chance, so that tests need neither.
struct RetryEnvironment {
  std::function<Clock::time_point()> now;
  /// Returns early when `stop` is requested.
  std::function<void(std::chrono::milliseconds, std::stop_token)> sleep;
  /// A number in [0, 1).
  std::function<double()> random;

  static RetryEnvironment real();
};

/// 408, 425, 429, 500, 502, 503, 504, 522: the server may do better later.
bool is_retryable_status(int status);

/// A Retry-After value: seconds, or an HTTP date relative to `now`; never negative. nullopt for
/// anything else.
std::optional<std::chrono::seconds> parse_retry_after(std::string_view value,
                                                      std::chrono::system_clock::time_point now);

/// Paces the attempts at one object: exponential, with full jitter.
class Retry {
 public:
  Retry(const RetryPolicy& policy, const RetryEnvironment& environment);

  /// Waits until the next attempt is due; false if there should be none: attempts or budget are
  /// used up, or the server asks to wait longer than the policy allows. Throws Error(cancelled).
  bool wait(std::optional<std::chrono::seconds> retry_after, std::stop_token stop);
  bool wait(const HttpResponse& response, std::stop_token stop);
  bool wait(std::stop_token stop) { return wait(std::nullopt, stop); }
  /// After an attempt that threw: false for what trying again cannot cure. Error(unavailable) may
  /// pass; a RefusedAnswer is asked for again a few times.
  bool wait(const base::Error& error, std::stop_token stop);

  /// The object came on since the last failure: attempts and budget count anew.
  void progressed();

 private:
  const RetryPolicy& policy_;
  const RetryEnvironment& environment_;
  int failures_ = 0;
  int refused_answers_ = 0;
  Clock::time_point begin_;
};

}  // namespace strake::registry
