#include "layers/archive/zstd.h"

#include <zstd.h>

#include <string>

#include "layers/archive/decoder.h"

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

struct FreeContext {
  void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
  void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
};

class Unzstd final : public base::ByteSource {
 public:
  Unzstd(std::unique_ptr<base::ByteSource> from, int window_log)
      : input_(std::move(from)), context_(ZSTD_createDCtx()) {
    if (!context_) throw Error(ErrorCode::system, "cannot decompress: out of memory");
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, window_log);
  }

  std::size_t read(std::span<std::byte> buffer) override {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    while (out.pos == 0 && !buffer.empty()) {
      const std::span<const std::byte> bytes = input_.available();
      if (bytes.empty() && frame_done_) return 0;
      ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
      const std::size_t result = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(result) != 0) throw_corrupt("zstd", ZSTD_getErrorName(result));
      input_.consume(in.pos);
      frame_done_ = result == 0;
      if (bytes.empty() && out.pos == 0 && !frame_done_) throw_corrupt("zstd", "it ends too early");
    }
    return out.pos;
  }

 private:
  CompressedInput input_;
  std::unique_ptr<ZSTD_DCtx, FreeContext> context_;
  bool frame_done_ = false;  // an empty stream is no zstd
};

}  // namespace

std::size_t zstd_frame_bound(std::size_t block_bytes) {
  return ZSTD_compressBound(block_bytes);
}

std::size_t write_zstd_frame(std::span<const std::byte> block, int level,
                             std::span<std::byte> room) {
  // One a thread: its tables are megabytes, and a fresh one would have to be paged in each time.
  thread_local const std::unique_ptr<ZSTD_CCtx, FreeContext> context(ZSTD_createCCtx());
  if (!context) throw Error(ErrorCode::system, "cannot compress: out of memory");
  ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_and_parameters);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  const std::size_t size =
      ZSTD_compress2(context.get(), room.data(), room.size(), block.data(), block.size());
  if (ZSTD_isError(size) != 0)
    throw Error(ErrorCode::system, std::string("cannot compress: ") + ZSTD_getErrorName(size));
  return size;
}

std::unique_ptr<base::ByteSource> make_unzstd(std::unique_ptr<base::ByteSource> from,
                                              int window_log) {
  return std::make_unique<Unzstd>(std::move(from), window_log);
}

}  // namespace strake::layers
