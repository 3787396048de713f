#include "registry/network.h"

#include <arpa/inet.h>

#include <charconv>
#include <string>

namespace strake::registry {
namespace {

struct Address {
  bool ipv6 = false;
  std::array<std::uint8_t, 16> bytes{};
};

std::optional<Address> parse_address(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const std::string literal(text);
  Address address;
  if (inet_pton(AF_INET, literal.c_str(), address.bytes.data()) == 1) return address;
  address.ipv6 = true;
  if (inet_pton(AF_INET6, literal.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

}  // namespace

std::optional<Network> Network::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  const std::optional<Address> address = parse_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  const std::string_view length = text.substr(slash + 1);
  Network network;
  const auto [end, error] = std::from_chars(length.begin(), length.end(), network.prefix_bits_);
  const unsigned longest = address->ipv6 ? 128 : 32;
  if (error != std::errc() || end != length.end() || network.prefix_bits_ > longest) {
    return std::nullopt;
  }
  network.ipv6_ = address->ipv6;
  network.address_ = address->bytes;
  return network;
}

bool Network::contains(std::string_view host) const {
  const std::optional<Address> address = parse_address(host);
  if (!address || address->ipv6 != ipv6_) return false;
  for (unsigned bit = 0; bit < prefix_bits_; bit += 8) {
    const unsigned rest = prefix_bits_ - bit;
    const unsigned mask = rest >= 8 ? 0xff : 0xff & (0xff << (8 - rest));
    if (((address->bytes[bit / 8] ^ address_[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace strake::registry
