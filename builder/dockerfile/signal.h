#pragma once

#include <string_view>

namespace strake::dockerfile {

/// The number of the signal that an expanded STOPSIGNAL names: "9", "KILL", "SIGRTMIN+3", in any
/// case; Linux numbers. Throws Error(invalid_input), without a place.
int parse_signal(std::string_view text);

}  // namespace strake::dockerfile
