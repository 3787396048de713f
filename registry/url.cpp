#include "registry/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/log.h"

namespace strake::registry {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kLongestUrl = 16 * 1024;

[[noreturn]] void refuse(std::string_view url, std::string_view why) {
  // Servers may send megabytes; a message shows the beginning.
  throw Error(ErrorCode::corrupt, "server sent an unusable URL " +
                                      base::quoted(base::redacted(url.substr(0, 200))) + ": " +
                                      std::string(why));
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

std::optional<std::uint32_t> ipv4(std::string_view host) {
  in_addr address{};
  if (inet_pton(AF_INET, std::string(host).c_str(), &address) != 1) return std::nullopt;
  return ntohl(address.s_addr);
}

std::optional<in6_addr> ipv6(std::string_view host) {
  if (host.size() < 2 || host.front() != '[' || host.back() != ']') return std::nullopt;
  in6_addr address{};
  const std::string literal(host.substr(1, host.size() - 2));
  if (inet_pton(AF_INET6, literal.c_str(), &address) != 1) return std::nullopt;
  return address;
}

/// The IPv4 address that an IPv6 one leads to: mapped, NAT64 (64:ff9b::/96) or 6to4 (2002::/16).
std::optional<std::uint32_t> inner_ipv4(const in6_addr& address) {
  static constexpr std::uint8_t kNat64[12] = {0x00, 0x64, 0xff, 0x9b};
  const std::uint8_t* bytes = address.s6_addr;
  const std::uint8_t* inner = nullptr;
  if (IN6_IS_ADDR_V4MAPPED(&address) || std::equal(kNat64, kNat64 + 12, bytes)) inner = bytes + 12;
  if (bytes[0] == 0x20 && bytes[1] == 0x02) inner = bytes + 2;
  if (inner == nullptr) return std::nullopt;
  return std::uint32_t{inner[0]} << 24 | std::uint32_t{inner[1]} << 16 |
         std::uint32_t{inner[2]} << 8 | std::uint32_t{inner[3]};
}

/// Why `host` is no host name, "" if it is one.
std::string_view host_problem(const std::string& host) {
  if (host.empty()) return "no host";
  if (host.front() == '[') return ipv6(host) ? "" : "malformed IPv6 address";
  if (!std::all_of(host.begin(), host.end(), is_name_character)) return "malformed host name";
  // A dot at the end would make another name of the same host: "localhost." is this machine.
  if (host.size() > 253 || host.front() == '.' || host.back() == '.' ||
      host.find("..") != std::string::npos) {
    return "malformed host name";
  }
  // "2130706433", "0x7f.1" and "127.1" are addresses to the resolver but names to a reader.
  in_addr address{};
  if (inet_aton(host.c_str(), &address) == 1 && !ipv4(host)) return "disguised IP address";
  return "";
}

struct Authority {
  std::string host;
  std::optional<std::uint16_t> port;
  std::string_view problem;
};

Authority parse_authority(std::string_view text) {
  Authority result;
  std::size_t colon = text.rfind(':');
  if (colon != text.npos && text.find(']', colon) != text.npos) colon = text.npos;
  result.host = lower(text.substr(0, colon));
  if (colon != text.npos) {
    const std::string_view digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), port);
    if (error != std::errc() || end != digits.end() || port == 0) {
      result.problem = "malformed port";
      return result;
    }
    result.port = port;
  }
  result.problem = host_problem(result.host);
  return result;
}

std::uint16_t default_port(std::string_view scheme) {
  return scheme == "http" ? 80 : 443;
}

/// "." and ".." segments resolved lexically. Spec: RFC 3986, 5.2.4.
std::string without_dot_segments(std::string_view path) {
  std::vector<std::string_view> segments;
  std::size_t begin = 1;
  bool directory = false;
  while (begin <= path.size()) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view segment = path.substr(begin, end - begin);
    directory = segment == "." || segment == "..";
    if (segment == ".." && !segments.empty()) segments.pop_back();
    if (!directory) segments.push_back(segment);
    begin = end + 1;
  }
  std::string result;
  for (const std::string_view segment : segments) result.append("/").append(segment);
  if (directory || result.empty()) result += '/';
  return result;
}

bool in_network(std::uint32_t address, std::uint32_t network, int bits) {
  return (address ^ network) >> (32 - bits) == 0;
}

bool is_private_ipv4(std::uint32_t address) {
  return in_network(address, 0x00000000, 8) || in_network(address, 0x0a000000, 8) ||
         in_network(address, 0x64400000, 10) || in_network(address, 0x7f000000, 8) ||
         in_network(address, 0xa9fe0000, 16) || in_network(address, 0xac100000, 12) ||
         in_network(address, 0xc0000000, 24) || in_network(address, 0xc0a80000, 16) ||
         in_network(address, 0xc6120000, 15) || in_network(address, 0xe0000000, 3);
}

bool is_private_ipv6(const in6_addr& address) {
  if (const auto inner = inner_ipv4(address)) return is_private_ipv4(*inner);
  return IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address) ||
         IN6_IS_ADDR_LINKLOCAL(&address) || IN6_IS_ADDR_MULTICAST(&address) ||
         (address.s6_addr[0] & 0xfe) == 0xfc;  // unique local
}

}  // namespace

std::string Origin::str() const {
  std::string result = scheme + "://" + host;
  if (port != default_port(scheme)) result += ":" + std::to_string(port);
  return result;
}

Url parse_url(std::string_view text) {
  if (text.size() > kLongestUrl) refuse(text, "too long");
  if (std::any_of(text.begin(), text.end(), [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7f ||
               c == '\\';
      })) {
    refuse(text, "characters that must be percent-encoded");
  }
  const std::size_t colon = text.find("://");
  if (colon == text.npos) refuse(text, "not absolute");
  Url url;
  url.origin.scheme = lower(text.substr(0, colon));
  if (url.origin.scheme != "http" && url.origin.scheme != "https") refuse(text, "not http(s)");

  text = text.substr(0, text.find('#'));
  const std::size_t begin = colon + 3;
  const std::size_t end = std::min(text.find_first_of("/?", begin), text.size());
  const std::string_view authority = text.substr(begin, end - begin);
  if (authority.find('@') != authority.npos) refuse(text, "user name in it");
  const Authority parsed = parse_authority(authority);
  if (!parsed.problem.empty()) refuse(text, parsed.problem);
  url.origin.host = parsed.host;
  url.origin.port = parsed.port.value_or(default_port(url.origin.scheme));
  url.target = text.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  return url;
}

Url resolve_url(const Url& base, std::string_view location) {
  if (location.empty()) refuse(location, "empty");
  const std::size_t colon = location.find(':');
  if (colon != location.npos && colon < location.find_first_of("/?#")) return parse_url(location);
  if (location.starts_with("//"))
    return parse_url(base.origin.scheme + ":" + std::string(location));
  if (location.starts_with('/')) return parse_url(base.origin.str() + std::string(location));

  const std::string_view path = std::string_view(base.target).substr(0, base.target.find('?'));
  if (location.starts_with('?')) {
    return parse_url(base.origin.str() + std::string(path) + std::string(location));
  }
  const std::size_t query = std::min(location.find_first_of("?#"), location.size());
  std::string joined(path.substr(0, path.rfind('/') + 1));
  joined = without_dot_segments(joined.append(location.substr(0, query)));
  return parse_url(base.origin.str() + joined.append(location.substr(query)));
}

Origin registry_origin(std::string_view host, std::string_view scheme) {
  const Authority parsed = parse_authority(host);
  if (!parsed.problem.empty()) {
    throw Error(ErrorCode::invalid_input, "registry name " + base::quoted(host) +
                                              " cannot be used: " + std::string(parsed.problem));
  }
  return {std::string(scheme), parsed.host, parsed.port.value_or(default_port(scheme))};
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_name_character(c) || (c >= 'A' && c <= 'Z') || c == '~') {
      result += c;
    } else {
      result.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return result;
}

std::string with_query(std::string target, std::string_view name, std::string_view value) {
  if (target.find('?') == target.npos) {
    target += '?';
  } else if (target.back() != '?' && target.back() != '&') {
    target += '&';
  }
  return target.append(name).append("=").append(percent_encoded(value));
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  if (const auto address = ipv4(host)) return in_network(*address, 0x7f000000, 8);
  if (const auto address = ipv6(host)) {
    if (IN6_IS_ADDR_V4MAPPED(&*address)) return address->s6_addr[12] == 127;
    return IN6_IS_ADDR_LOOPBACK(&*address);
  }
  return false;
}

bool is_private_address(std::string_view host) {
  if (is_loopback(host)) return true;
  if (const auto address = ipv4(host)) return is_private_ipv4(*address);
  if (const auto address = ipv6(host)) return is_private_ipv6(*address);
  return false;
}

bool is_link_local(std::string_view host) {
  if (const auto address = ipv4(host)) return in_network(*address, 0xa9fe0000, 16);
  if (const auto address = ipv6(host)) {
    const auto inner = inner_ipv4(*address);
    return inner ? in_network(*inner, 0xa9fe0000, 16) : IN6_IS_ADDR_LINKLOCAL(&*address) != 0;
  }
  return false;
}

std::string registrable_domain(std::string_view host) {
  // Whoever asks may register a name below these.
  static constexpr std::array<std::string_view, 34> kSharedSuffixes = {"amazonaws.com",
                                                                       "amazonaws.com.cn",
                                                                       "appspot.com",
                                                                       "azurecr.cn",
                                                                       "azurecr.io",
                                                                       "azurewebsites.net",
                                                                       "azurefd.net",
                                                                       "blogspot.com",
                                                                       "cloudapp.net",
                                                                       "cloudfront.net",
                                                                       "digitaloceanspaces.com",
                                                                       "firebaseapp.com",
                                                                       "fly.dev",
                                                                       "github.io",
                                                                       "gitlab.io",
                                                                       "googleapis.com",
                                                                       "herokuapp.com",
                                                                       "netlify.app",
                                                                       "ngrok.app",
                                                                       "ngrok-free.app",
                                                                       "ngrok.io",
                                                                       "ondigitalocean.app",
                                                                       "onrender.com",
                                                                       "pages.dev",
                                                                       "pkg.dev",
                                                                       "railway.app",
                                                                       "run.app",
                                                                       "scw.cloud",
                                                                       "trycloudflare.com",
                                                                       "vercel.app",
                                                                       "web.app",
                                                                       "windows.net",
                                                                       "workers.dev",
                                                                       "myshopify.com"};
  static constexpr std::array<std::string_view, 12> kSecondLevel = {
      "ac", "co", "com", "edu", "gob", "gov", "gv", "mil", "ne", "net", "or", "org"};

  if (ipv4(host) || host.starts_with('[')) return "";
  if (host.ends_with('.')) host.remove_suffix(1);
  const auto label_before = [&](std::size_t end) {  // start of the label that ends at `end`
    const std::size_t dot = host.rfind('.', end - 1);
    return dot == host.npos ? 0 : dot + 1;
  };
  const std::size_t top = label_before(host.size());
  if (top == 0) return "";
  std::size_t begin = label_before(top - 1);
  const std::string_view second = host.substr(begin, top - 1 - begin);

  std::size_t suffix = top;
  const bool country = host.size() - top == 2;
  if (country &&
      std::find(kSecondLevel.begin(), kSecondLevel.end(), second) != kSecondLevel.end()) {
    suffix = begin;
  }
  for (const std::string_view shared : kSharedSuffixes) {
    if (host == shared || host.ends_with("." + std::string(shared))) {
      // AWS and Azure put regions and services below their domain: the customer's label is the
      // whole rest, so only the very same host is the same owner.
      return std::string(host);
    }
  }
  if (suffix == 0) return "";
  begin = label_before(suffix - 1);
  return std::string(host.substr(begin));
}

}  // namespace strake::registry
