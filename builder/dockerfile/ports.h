#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strake::dockerfile {

/// One word of EXPOSE: `80`, `8000-8010/udp`; `ip:host:80` is read and its front dropped.
struct PortRange {
  std::uint16_t first = 0, last = 0;
  std::string protocol = "tcp";         // lower case: tcp, udp or sctp
  bool has_host_part = false;           // means nothing in EXPOSE
  bool protocol_in_upper_case = false;  // for the check of its casing

  bool operator==(const PortRange&) const = default;
};

/// Throws Error(invalid_input), without a place.
PortRange parse_port_range(std::string_view word);

/// The ports that expanded EXPOSE words name, as "80/tcp", each once, in order of their first
/// mention. Throws Error(invalid_input), without a place.
std::vector<std::string> parse_exposed_ports(std::span<const std::string> words);

}  // namespace strake::dockerfile
