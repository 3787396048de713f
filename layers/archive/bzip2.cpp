#include <bzlib.h>

#include <algorithm>

#include "layers/archive/decoder.h"

namespace strake::layers {
namespace {

class Bunzip2 final : public base::ByteSource {
 public:
  explicit Bunzip2(std::unique_ptr<base::ByteSource> from) : input_(std::move(from)) { begin(); }
  ~Bunzip2() override { BZ2_bzDecompressEnd(&stream_); }
  Bunzip2(const Bunzip2&) = delete;
  Bunzip2& operator=(const Bunzip2&) = delete;

  std::size_t read(std::span<std::byte> buffer) override {
    std::size_t count = 0;
    while (count == 0 && !buffer.empty()) {
      const std::span<const std::byte> bytes = input_.available();
      if (stream_done_) {
        if (bytes.empty()) return 0;
        BZ2_bzDecompressEnd(&stream_);
        begin();
      }
      count = decompress(bytes, buffer);
    }
    return count;
  }

 private:
  void begin() {
    stream_ = {};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK)
      throw base::Error(base::ErrorCode::system, "cannot decompress: out of memory");
    stream_done_ = false;
  }

  std::size_t decompress(std::span<const std::byte> bytes, std::span<std::byte> buffer) {
    stream_.next_in = const_cast<char*>(reinterpret_cast<const char*>(bytes.data()));
    stream_.avail_in = static_cast<unsigned>(bytes.size());
    stream_.next_out = reinterpret_cast<char*>(buffer.data());
    stream_.avail_out = static_cast<unsigned>(std::min<std::size_t>(buffer.size(), 1U << 30));
    const unsigned room = stream_.avail_out;
    const int result = BZ2_bzDecompress(&stream_);
    if (result != BZ_OK && result != BZ_STREAM_END)
      throw_corrupt("bzip2", result == BZ_DATA_ERROR_MAGIC ? "no bzip2 header where one must be"
                                                           : "invalid data");
    input_.consume(bytes.size() - stream_.avail_in);
    stream_done_ = result == BZ_STREAM_END;
    const std::size_t count = room - stream_.avail_out;
    if (count == 0 && !stream_done_ && bytes.empty()) throw_corrupt("bzip2", "it ends too early");
    return count;
  }

  CompressedInput input_;
  bz_stream stream_{};
  bool stream_done_ = false;
};

}  // namespace

std::unique_ptr<base::ByteSource> make_bunzip2(std::unique_ptr<base::ByteSource> from) {
  return std::make_unique<Bunzip2>(std::move(from));
}

}  // namespace strake::layers
