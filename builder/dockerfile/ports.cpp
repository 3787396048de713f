#include "builder/dockerfile/ports.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "builder/dockerfile/words.h"
#include "layers/base/error.h"

namespace strake::dockerfile {

namespace {

using base::Error;
using base::ErrorCode;

[[noreturn]] void fail(std::string_view word) {
  throw Error(ErrorCode::invalid_input, "invalid port " + excerpt(word))
      .hint("write a number up to 65535, or a range as in \"8000-8010\", and \"/udp\" if not tcp");
}

std::uint16_t parse_port(std::string_view text, std::string_view word) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end) fail(word);
  return port;
}

struct Bounds {
  std::uint16_t first = 0, last = 0;
};

Bounds parse_bounds(std::string_view text, std::string_view word) {
  const std::size_t dash = text.find('-');
  const std::uint16_t first = parse_port(text.substr(0, dash), word);
  const std::uint16_t last =
      dash == std::string_view::npos ? first : parse_port(text.substr(dash + 1), word);
  if (last < first) fail(word);
  return {first, last};
}

}  // namespace

PortRange parse_port_range(std::string_view word) {
  PortRange range;
  std::string_view rest = word;
  const std::size_t colon = word.rfind(':');
  if (colon != std::string_view::npos) {
    range.has_host_part = true;
    rest.remove_prefix(colon + 1);
    // The host's port, behind an address or alone, means nothing here, but is checked all the same.
    const std::string_view front = word.substr(0, colon);
    const std::size_t address_end = front.rfind(':');
    const std::string_view host_port =
        address_end == std::string_view::npos ? front : front.substr(address_end + 1);
    if (!host_port.empty()) parse_bounds(host_port, word);
  }
  const std::size_t slash = rest.find('/');
  if (slash != std::string_view::npos && slash + 1 < rest.size()) {
    const std::string_view protocol = rest.substr(slash + 1);
    range.protocol = to_lower(protocol);
    range.protocol_in_upper_case = range.protocol != protocol;
    if (range.protocol != "tcp" && range.protocol != "udp" && range.protocol != "sctp")
      throw Error(ErrorCode::invalid_input,
                  "invalid protocol " + excerpt(protocol) + " of the port " + excerpt(word))
          .hint("use one of tcp, udp and sctp");
  }
  const Bounds bounds = parse_bounds(rest.substr(0, slash), word);
  range.first = bounds.first;
  range.last = bounds.last;
  return range;
}

std::vector<std::string> parse_exposed_ports(std::span<const std::string> words) {
  constexpr std::size_t kPorts = 65536;
  constexpr std::string_view kProtocols[] = {"tcp", "udp", "sctp"};
  std::vector<bool> seen(std::size(kProtocols) * kPorts);
  std::vector<std::string> ports;
  std::size_t named = 0;
  for (const std::string& word : words) {
    const PortRange range = parse_port_range(word);
    named += std::size_t{range.last} - range.first + 1;
    if (named > seen.size())
      throw Error(ErrorCode::invalid_input, "EXPOSE names more ports than there are");
    const auto* protocol = std::find(std::begin(kProtocols), std::end(kProtocols), range.protocol);
    const auto base = static_cast<std::size_t>(protocol - kProtocols) * kPorts;
    for (std::size_t port = range.first; port <= range.last; ++port) {
      if (seen[base + port]) continue;
      seen[base + port] = true;
      ports.push_back(std::to_string(port) + "/" + range.protocol);
    }
  }
  return ports;
}

}  // namespace strake::dockerfile
