#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "registry/url.h"

namespace strake::registry {

/// The URL of the proxy through which requests to `origin` go, as the environment has it; "" for
/// none. As Go's programs decide, docker among them:
///
/// - HTTPS_PROXY for https, HTTP_PROXY for http, else ALL_PROXY; each also in lower case, the upper
///   case goes first. HTTP_PROXY is not believed in a CGI program (REQUEST_METHOD is set), where
///   it is a header of whoever asks. A URL without a scheme is http's.
/// - Never for this machine itself (is_loopback).
/// - Not for what NO_PROXY lists, with commas between: "*" everything; "10.0.0.0/8" and "10.1.2.3"
///   addresses; "example.com" that host and all below it, ".example.com" and "*.example.com" only
///   those below; with ":port" that port only. Names are not looked up.
std::string proxy_for(
    const Origin& origin,
    const std::function<std::optional<std::string>(const std::string& name)>& variables);

/// Whether the value of NO_PROXY lists `origin`.
bool is_excluded(std::string_view no_proxy, const Origin& origin);

}  // namespace strake::registry
