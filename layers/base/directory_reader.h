#pragma once

#include <dirent.h>

#include <array>
#include <cstddef>

namespace strake::base {

/// Reads the entries of an open directory, without "." and "..", in the kernel's order. The
/// descriptor's position is used: one reader at a time. Internal to base.
class DirectoryReader {
 public:
  /// Starts at the first entry.
  explicit DirectoryReader(int directory) noexcept : directory_(directory) {}

  /// The next entry, valid until the next call; nullptr at the end, and then error() is 0, or the
  /// errno of the failure.
  const ::dirent64* next() noexcept;
  int error() const noexcept { return error_; }

 private:
  bool fill() noexcept;

  int directory_;
  int error_ = 0;
  bool started_ = false;
  std::size_t position_ = 0, filled_ = 0;
  alignas(::dirent64) std::array<char, 32 * 1024> buffer_;
};

}  // namespace strake::base
