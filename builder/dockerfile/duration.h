#pragma once

#include <chrono>
#include <string_view>

namespace strake::dockerfile {

/// Go's time.ParseDuration: "1m30s", "1.5h", "-100ms", "0"; units ns, us (µs), ms, s, m, h.
/// Throws Error(invalid_input), without a place.
std::chrono::nanoseconds parse_duration(std::string_view text);

}  // namespace strake::dockerfile
