#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace strake::layers {

inline constexpr std::size_t kTarBlockBytes = 512;

/// Bytes that fill `size` up to whole blocks.
constexpr std::size_t tar_padding(std::uint64_t size) {
  return static_cast<std::size_t>(-size % kTarBlockBytes);
}

/// A tar header block as it is stored. Spec: POSIX.1-2017 pax, "ustar Interchange Format".
struct TarBlock {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link_name[100];
  char magic[8];  // with the version
  char user[32];
  char group[32];
  char device_major[8];
  char device_minor[8];
  char prefix[155];
  char unused[12];

  /// Sum of all bytes, those of the checksum itself taken as spaces.
  std::uint32_t sum() const {
    std::array<unsigned char, kTarBlockBytes> bytes;
    std::memcpy(bytes.data(), this, sizeof *this);
    std::memset(bytes.data() + offsetof(TarBlock, checksum), ' ', sizeof checksum);
    std::uint32_t total = 0;
    for (const unsigned char byte : bytes) total += byte;
    return total;
  }
};
static_assert(sizeof(TarBlock) == kTarBlockBytes);

/// The number in an octal field: leading spaces, digits, anything after them. 0 without digits.
inline std::uint64_t parse_octal(std::span<const char> field) {
  std::uint64_t value = 0;
  std::size_t i = 0;
  while (i < field.size() && field[i] == ' ') ++i;
  for (; i < field.size() && field[i] >= '0' && field[i] <= '7'; ++i)
    value = value * 8 + static_cast<std::uint64_t>(field[i] - '0');
  return value;
}

}  // namespace strake::layers
