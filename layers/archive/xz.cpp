#include <lzma.h>

#include "layers/archive/decoder.h"

namespace strake::layers {
namespace {

class Unxz final : public base::ByteSource {
 public:
  Unxz(std::unique_ptr<base::ByteSource> from, std::uint64_t memory_bytes)
      : input_(std::move(from)) {
    if (lzma_stream_decoder(&stream_, memory_bytes, LZMA_CONCATENATED) != LZMA_OK)
      throw base::Error(base::ErrorCode::system, "cannot decompress: out of memory");
  }
  ~Unxz() override { lzma_end(&stream_); }
  Unxz(const Unxz&) = delete;
  Unxz& operator=(const Unxz&) = delete;

  std::size_t read(std::span<std::byte> buffer) override {
    stream_.next_out = reinterpret_cast<std::uint8_t*>(buffer.data());
    stream_.avail_out = buffer.size();
    while (!done_ && stream_.avail_out == buffer.size() && !buffer.empty()) {
      const std::span<const std::byte> bytes = input_.available();
      stream_.next_in = reinterpret_cast<const std::uint8_t*>(bytes.data());
      stream_.avail_in = bytes.size();
      const lzma_ret result = lzma_code(&stream_, bytes.empty() ? LZMA_FINISH : LZMA_RUN);
      if (result != LZMA_OK && result != LZMA_STREAM_END) throw_corrupt("xz", reason(result));
      input_.consume(bytes.size() - stream_.avail_in);
      done_ = result == LZMA_STREAM_END;
    }
    return buffer.size() - stream_.avail_out;
  }

 private:
  static std::string_view reason(lzma_ret result) {
    switch (result) {
      case LZMA_MEMLIMIT_ERROR:
        return "it needs more memory than the limit allows";
      case LZMA_FORMAT_ERROR:
        return "no xz header where one must be";
      case LZMA_BUF_ERROR:
        return "it ends too early";
      case LZMA_OPTIONS_ERROR:
        return "it uses an unknown option";
      default:
        return "invalid data";
    }
  }

  CompressedInput input_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<base::ByteSource> make_unxz(std::unique_ptr<base::ByteSource> from,
                                            std::uint64_t memory_bytes) {
  return std::make_unique<Unxz>(std::move(from), memory_bytes);
}

}  // namespace strake::layers
