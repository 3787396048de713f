#include "registry/rate_limit.h"

#include <algorithm>

#include "layers/base/error.h"
#include "registry/decimal.h"

namespace strake::registry {
namespace {

constexpr std::uint64_t kFew = 10;
constexpr std::size_t kShownSourceBytes = 64;

std::optional<std::uint64_t> number_at_start(std::string_view text) {
  return parse_decimal(text.substr(0, text.find(';')));
}

std::chrono::seconds window_of(std::string_view text) {
  constexpr std::uint64_t kLongest = 366 * 86'400;
  const std::size_t at = text.find(";w=");
  if (at == text.npos) return std::chrono::seconds(0);
  return std::chrono::seconds(std::min(number_at_start(text.substr(at + 3)).value_or(0), kLongest));
}

}  // namespace

std::string shown_duration(std::chrono::seconds time) {
  const auto count = std::max<std::int64_t>(time.count(), 0);
  if (count <= 120) return std::to_string(count) + " s";
  if (count <= 7200) return std::to_string((count + 59) / 60) + " min";
  if (count <= 172'800) return std::to_string((count + 3599) / 3600) + " h";
  return std::to_string((count + 86'399) / 86'400) + " days";
}

bool RateLimit::is_nearly_used_up() const {
  return remaining <= kFew;
}

std::string RateLimit::str() const {
  std::string text = std::to_string(remaining);
  if (limit) text += " of " + std::to_string(*limit);
  text += " requests";
  if (window.count() > 0) text += " in " + shown_duration(window);
  text += " are left";
  if (!source.empty()) text += ", counted for " + source;
  return text;
}

std::optional<RateLimit> parse_rate_limit(const HttpHeaders& headers) {
  const std::string_view remaining = headers.get("RateLimit-Remaining");
  const std::optional<std::uint64_t> left = number_at_start(remaining);
  if (!left) return std::nullopt;
  const std::string_view limit = headers.get("RateLimit-Limit");
  RateLimit result{*left, number_at_start(limit), window_of(remaining)};
  if (result.window.count() == 0) result.window = window_of(limit);
  const std::string source =
      base::quoted(headers.get("Docker-RateLimit-Source").substr(0, kShownSourceBytes));
  result.source = source.substr(1, source.size() - 2);
  return result;
}

}  // namespace strake::registry
