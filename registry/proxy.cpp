#include "registry/proxy.h"

#include <algorithm>

#include "registry/http.h"
#include "registry/network.h"

namespace strake::registry {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

std::string_view without_brackets(std::string_view host) {
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

bool ends_with_ignoring_case(std::string_view text, std::string_view end) {
  return text.size() >= end.size() &&
         equal_ignoring_case(text.substr(text.size() - end.size()), end);
}

/// Takes ":port" off the end of an entry; nullopt for an entry without one. The colons of an IPv6
/// address are none, unless it stands in brackets.
std::optional<std::string_view> take_port(std::string_view& entry) {
  const std::size_t colon = entry.rfind(':');
  if (colon == entry.npos) return std::nullopt;
  const bool bare_ipv6 = entry.find(':') != colon && entry[colon - 1] != ']';
  const std::string_view port = entry.substr(colon + 1);
  if (bare_ipv6 || port.empty() || port.find_first_not_of("0123456789") != port.npos) {
    return std::nullopt;
  }
  entry = entry.substr(0, colon);
  return port;
}

bool matches(std::string_view entry, const Origin& origin) {
  entry = trimmed(entry);
  if (entry.empty()) return false;
  if (entry == "*") return true;
  if (const std::optional<Network> network = Network::parse(entry)) {
    return network->contains(origin.host);
  }
  const std::optional<std::string_view> port = take_port(entry);
  if (port && *port != std::to_string(origin.port)) return false;
  if (entry.starts_with("*.")) entry.remove_prefix(1);
  if (entry.starts_with('.')) return ends_with_ignoring_case(origin.host, entry);
  entry = without_brackets(entry);
  const std::string_view host = without_brackets(origin.host);
  return equal_ignoring_case(host, entry) ||
         ends_with_ignoring_case(host, "." + std::string(entry));
}

}  // namespace

bool is_excluded(std::string_view no_proxy, const Origin& origin) {
  for (;;) {
    const std::size_t comma = no_proxy.find(',');
    if (matches(no_proxy.substr(0, comma), origin)) return true;
    if (comma == no_proxy.npos) return false;
    no_proxy.remove_prefix(comma + 1);
  }
}

std::string proxy_for(
    const Origin& origin,
    const std::function<std::optional<std::string>(const std::string& name)>& variables) {
  const auto value = [&](const char* upper, const char* lower) {
    std::string text = variables(upper).value_or("");
    return text.empty() ? variables(lower).value_or("") : text;
  };
  if (is_loopback(origin.host)) return "";
  std::string proxy;
  if (origin.scheme == "https") {
    proxy = value("HTTPS_PROXY", "https_proxy");
  } else {
    const bool cgi = !variables("REQUEST_METHOD").value_or("").empty();
    proxy = cgi ? variables("http_proxy").value_or("") : value("HTTP_PROXY", "http_proxy");
  }
  if (proxy.empty()) proxy = value("ALL_PROXY", "all_proxy");
  if (proxy.empty() || is_excluded(value("NO_PROXY", "no_proxy"), origin)) return "";
  return proxy.find("://") == proxy.npos ? "http://" + proxy : proxy;
}

}  // namespace strake::registry
