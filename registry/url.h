#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace strake::registry {

/// Scheme, host and port: what credentials are bound to.
struct Origin {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; IPv6 literals in their brackets
  std::uint16_t port = 0;
  auto operator<=>(const Origin&) const = default;

  std::string str() const;  // "https://host" or "https://host:5000"
};

/// An absolute http or https URL without user name and fragment.
struct Url {
  Origin origin;
  std::string target = "/";  // path and query
  std::string str() const { return origin.str() + target; }
};

/// Strict: http or https only, no user name, ASCII host of letters, digits, "-", "_", "." or an IP
/// literal in its canonical form, no control characters or spaces, at most 16 KiB. Throws
/// Error(corrupt) quoting a redacted form, since URLs parsed here come from servers.
Url parse_url(std::string_view text);

/// The URL a Location or Link header means: absolute, "//host/path", "/path", or relative to the
/// directory of `base`. Throws as parse_url.
Url resolve_url(const Url& base, std::string_view location);

/// The origin of a registry as users write it: "host", "host:port", "[::1]:5000". Throws
/// Error(invalid_input).
Origin registry_origin(std::string_view host, std::string_view scheme);

/// `target` with "name=value" added to its query, the value percent-encoded.
std::string with_query(std::string target, std::string_view name, std::string_view value);

/// Percent-encodes everything but unreserved characters (RFC 3986).
std::string percent_encoded(std::string_view text);

/// localhost, *.localhost, 127.0.0.0/8, ::1.
bool is_loopback(std::string_view host);
/// A literal loopback, private, link-local, shared (100.64/10), special (192.0.0/24, 198.18/15),
/// unspecified or multicast address.
bool is_private_address(std::string_view host);
/// Whether it is an address of the local link: where clouds give machines their own credentials.
bool is_link_local(std::string_view host);

/// The domain that one owner registers ("example.co.uk" of "a.b.example.co.uk"), as far as can be
/// told without the public suffix list: the usual second-level names of country domains and the
/// domains whose names strangers share (azurecr.io, amazonaws.com, …) count as suffixes. "" for IP
/// literals and single labels.
std::string registrable_domain(std::string_view host);

}  // namespace strake::registry
