#pragma once

#include <string_view>

namespace strake::base {

/// PATH in a container whose image sets none, the same as docker's: part of configs and cache keys.
inline constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace strake::base
