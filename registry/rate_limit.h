#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "registry/http.h"

namespace strake::registry {

/// How many pulls a registry still allows, as Docker Hub says with each manifest.
struct RateLimit {
  std::uint64_t remaining = 0;
  std::optional<std::uint64_t> limit = std::nullopt;
  std::chrono::seconds window{0};  // 0 if the registry does not say
  std::string source = "";         // who is counted: an address, or an account

  /// Few enough that a user wants to know before it ends.
  bool is_nearly_used_up() const;
  /// "3 of 100 requests in 6 h are left, counted for 203.0.113.7".
  std::string str() const;
};

/// From the fields RateLimit-Limit, RateLimit-Remaining ("76;w=21600") and Docker-RateLimit-Source;
/// nullopt if what remains is not among them.
std::optional<RateLimit> parse_rate_limit(const HttpHeaders& headers);

/// "90 s", "15 min", "6 h", "3 days": rounded up.
std::string shown_duration(std::chrono::seconds time);

}  // namespace strake::registry
