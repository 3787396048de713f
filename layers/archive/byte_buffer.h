#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace strake::layers {

/// Bytes that are appended to. Unlike a vector it does not write zeros where others will write, and
/// clear() keeps the memory.
class ByteBuffer {
 public:
  /// Memory for `capacity` bytes, so that up to there nothing moves.
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) grow(capacity);
  }
  /// Makes room for `count` bytes at the end: theirs is what they are.
  std::span<std::byte> extend(std::size_t count) {
    if (size_ + count > capacity_) grow(2 * (size_ + count));
    const std::span<std::byte> room(bytes_.get() + size_, count);
    size_ += count;
    return room;
  }
  void append(std::span<const std::byte> bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()).data(), bytes.data(), bytes.size());
  }
  void clear() noexcept { size_ = 0; }

  std::byte* data() noexcept { return bytes_.get(); }
  std::size_t size() const noexcept { return size_; }
  std::span<const std::byte> bytes() const noexcept { return {bytes_.get(), size_}; }

 private:
  void grow(std::size_t capacity) {
    auto bytes = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (size_ > 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t capacity_ = 0, size_ = 0;
};

}  // namespace strake::layers
