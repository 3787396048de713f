#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace strake::registry {

/// A range of IP addresses: "10.0.0.0/8", "fd00::/8".
class Network {
 public:
  /// nullopt unless `text` is an address with the length of a prefix.
  static std::optional<Network> parse(std::string_view text);

  /// Whether `host` is an address of it: a literal, IPv6 with or without brackets. Names are not
  /// looked up.
  bool contains(std::string_view host) const;

 private:
  bool ipv6_ = false;
  unsigned prefix_bits_ = 0;
  std::array<std::uint8_t, 16> address_{};
};

}  // namespace strake::registry
