#include "registry/retry.h"

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <random>
#include <string>

#include "registry/registry_error.h"

namespace strake::registry {
namespace {

/// Answers that must not be followed, before that is an error: two may be accidents.
constexpr int kAnswersRefused = 3;

double random_fraction() {
  thread_local std::minstd_rand generator(std::random_device{}());
  return std::generate_canonical<double, 32>(generator);
}

void interruptible_sleep(std::chrono::milliseconds duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, duration, [] { return false; });
}

}  // namespace

RetryEnvironment RetryEnvironment::real() {
  return {[] { return Clock::now(); }, interruptible_sleep, random_fraction};
}

bool is_retryable_status(int status) {
  switch (status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
    case 522:
      return true;
    default:
      return false;
  }
}

std::optional<std::chrono::seconds> parse_retry_after(std::string_view value,
                                                      std::chrono::system_clock::time_point now) {
  if (value.empty()) return std::nullopt;
  if (std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    // What does not fit is surely too long to wait for; keep it comparable.
    constexpr long kCenturySeconds = 3'155'760'000;
    long seconds = 0;
    const auto [end, error] = std::from_chars(value.begin(), value.end(), seconds);
    if (error != std::errc()) seconds = kCenturySeconds;
    return std::chrono::seconds(std::min(seconds, kCenturySeconds));
  }
  std::tm date{};
  const char* end = strptime(std::string(value).c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (end == nullptr) return std::nullopt;
  const auto when = std::chrono::system_clock::from_time_t(timegm(&date));
  return std::max(std::chrono::ceil<std::chrono::seconds>(when - now), std::chrono::seconds(0));
}

Retry::Retry(const RetryPolicy& policy, const RetryEnvironment& environment)
    : policy_(policy), environment_(environment), begin_(environment.now()) {}

bool Retry::wait(std::optional<std::chrono::seconds> retry_after, std::stop_token stop) {
  ++failures_;
  if (failures_ >= policy_.attempts) return false;
  if (retry_after && *retry_after > policy_.longest_retry_after) return false;

  std::chrono::milliseconds longest = policy_.first_delay;
  for (int i = 1; i < failures_ && longest < policy_.longest_delay; ++i) longest *= 2;
  longest = std::min(longest, policy_.longest_delay);
  auto delay = std::chrono::milliseconds(
      static_cast<long>(environment_.random() * static_cast<double>(longest.count())));
  if (retry_after) delay += *retry_after;  // on top: a crowd must not come back at one instant
  if (environment_.now() + delay - begin_ > policy_.budget) return false;

  environment_.sleep(delay, stop);
  if (stop.stop_requested()) throw base::Error(base::ErrorCode::cancelled, "cancelled");
  return true;
}

bool Retry::wait(const HttpResponse& response, std::stop_token stop) {
  return wait(
      parse_retry_after(response.headers.get("Retry-After"), std::chrono::system_clock::now()),
      stop);
}

bool Retry::wait(const base::Error& error, std::stop_token stop) {
  if (error.code() == base::ErrorCode::unavailable) return wait(std::nullopt, stop);
  const bool refused = dynamic_cast<const RefusedAnswer*>(&error) != nullptr;
  return refused && ++refused_answers_ < kAnswersRefused && wait(std::nullopt, stop);
}

void Retry::progressed() {
  failures_ = 0;
  begin_ = environment_.now();
}

}  // namespace strake::registry
