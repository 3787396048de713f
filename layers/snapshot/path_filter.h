#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace strake::layers {

/// Remembers paths in a fixed amount of memory, and so not for certain (a Bloom filter): a path
/// that was added is always known, one that was not may seem to be. With 60,000 of them one in a
/// thousand does.
class PathFilter {
 public:
  /// Adds `path`, and says whether it may have been added before.
  bool add(std::string_view path) {
    const Bits bits = bits_of(path);
    const bool known = is_set(bits.first) && is_set(bits.second);
    words_[bits.first / 64] |= mask(bits.first);
    words_[bits.second / 64] |= mask(bits.second);
    return known;
  }

  bool may_have(std::string_view path) const {
    const Bits bits = bits_of(path);
    return is_set(bits.first) && is_set(bits.second);
  }

 private:
  static constexpr std::size_t kBits = std::size_t{1} << 22;
  struct Bits {
    std::size_t first, second;
  };

  static Bits bits_of(std::string_view path) {
    const std::uint64_t hash = std::hash<std::string_view>()(path);
    return {hash % kBits, (hash >> 32) % kBits};
  }
  static std::uint64_t mask(std::size_t bit) { return std::uint64_t{1} << (bit % 64); }
  bool is_set(std::size_t bit) const { return (words_[bit / 64] & mask(bit)) != 0; }

  std::vector<std::uint64_t> words_ = std::vector<std::uint64_t>(kBits / 64);
};

}  // namespace strake::layers
