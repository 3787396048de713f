#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layers/base/error.h"
#include "layers/base/stream.h"

namespace strake::layers {

/// The compressed side of a decompressor: a buffer that is refilled when it is used up.
class CompressedInput {
 public:
  explicit CompressedInput(std::unique_ptr<base::ByteSource> from)
      : from_(std::move(from)), buffer_(kBufferBytes) {}

  /// What is there, refilled if nothing is; empty at the end of the stream.
  std::span<const std::byte> available() {
    if (rest_.empty() && !ended_) {
      rest_ = std::span(buffer_).first(from_->read(buffer_));
      ended_ = rest_.empty();
    }
    return rest_;
  }
  void consume(std::size_t count) { rest_ = rest_.subspan(count); }

 private:
  static constexpr std::size_t kBufferBytes = 128 * 1024;

  std::unique_ptr<base::ByteSource> from_;
  std::vector<std::byte> buffer_;
  std::span<const std::byte> rest_;
  bool ended_ = false;
};

[[noreturn]] inline void throw_corrupt(std::string_view format, std::string_view why) {
  throw base::Error(base::ErrorCode::corrupt,
                    "the " + std::string(format) + " stream is corrupt: " + std::string(why));
}

/// What `from` holds, decompressed; without limits on size and ratio. read() throws Error(corrupt).
/// gzip: members are chained, zeros after the last one are ignored.
std::unique_ptr<base::ByteSource> make_gunzip(std::unique_ptr<base::ByteSource> from);
std::unique_ptr<base::ByteSource> make_unzstd(std::unique_ptr<base::ByteSource> from,
                                              int window_log);
std::unique_ptr<base::ByteSource> make_bunzip2(std::unique_ptr<base::ByteSource> from);
std::unique_ptr<base::ByteSource> make_unxz(std::unique_ptr<base::ByteSource> from,
                                            std::uint64_t memory_bytes);

}  // namespace strake::layers
