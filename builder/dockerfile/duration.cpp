#include "builder/dockerfile/duration.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

constexpr std::pair<std::string_view, std::int64_t> kUnits[] = {
    {"ns", 1},         {"us", 1'000},        {"µs", 1'000},         {"μs", 1'000},
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000},
};

[[noreturn]] void fail(std::string_view text) {
  throw base::Error(base::ErrorCode::invalid_input, "invalid duration " + excerpt(text))
      .hint("write a number with a unit, as in \"1m30s\"; the units are ns, us, ms, s, m and h");
}

bool is_digit(std::string_view text) {
  return !text.empty() && text[0] >= '0' && text[0] <= '9';
}

std::int64_t unit_of(std::string_view& rest, std::string_view whole) {
  const std::size_t end = std::min(rest.find_first_of(".0123456789"), rest.size());
  const std::string_view name = rest.substr(0, end);
  rest.remove_prefix(end);
  for (const auto& [unit, nanoseconds] : kUnits)
    if (name == unit) return nanoseconds;
  fail(whole);
}

}  // namespace

std::chrono::nanoseconds parse_duration(std::string_view text) {
  std::string_view rest = text;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) fail(text);

  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  std::int64_t total = 0;
  while (!rest.empty()) {
    std::int64_t whole = 0;
    bool has_digits = false;
    for (; is_digit(rest); rest.remove_prefix(1), has_digits = true) {
      const int digit = rest[0] - '0';
      if (whole > (kMax - digit) / 10) fail(text);
      whole = whole * 10 + digit;
    }
    // Digits behind the point: as many as can still make a nanosecond.
    std::int64_t fraction = 0, scale = 1;
    if (rest.starts_with('.')) {
      for (rest.remove_prefix(1); is_digit(rest); rest.remove_prefix(1), has_digits = true) {
        if (scale > kMax / 100) continue;
        fraction = fraction * 10 + (rest[0] - '0');
        scale *= 10;
      }
    }
    if (!has_digits) fail(text);
    const std::int64_t unit = unit_of(rest, text);
    const auto part =
        static_cast<std::int64_t>(static_cast<long double>(fraction) *
                                  static_cast<long double>(unit) / static_cast<long double>(scale));
    if (whole > (kMax - part) / unit || whole * unit + part > kMax - total) fail(text);
    total += whole * unit + part;
  }
  return std::chrono::nanoseconds(negative ? -total : total);
}

}  // namespace strake::dockerfile
