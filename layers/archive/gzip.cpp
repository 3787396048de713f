#include "layers/archive/gzip.h"

#include <isa-l.h>
#include <libdeflate.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "layers/base/error.h"
#include "layers/base/per_thread.h"

// A block becomes a member of its own, so that blocks can be compressed at the same time and by
// different means. The choice looks at the block's bytes only. What the means are worth, in MB/s of
// one processor (an AMD EPYC with AVX-512) and ratio:
//
//                    ISA-L 1      ISA-L 2      ISA-L 3      libdeflate 1  libdeflate 5  zlib 6
//   weights (noise)  1775 1.000   1758 1.000    392 1.000   131 1.000      94 1.000
//   float32 arrays    787 0.924    781 0.924    308 0.924   118 0.924      82 0.924      30 0.926
//   bfloat16 in 32    345 0.480    300 0.469    312 0.467   226 0.469      42 0.445       6 0.469
//   ML libraries      425 0.449    375 0.445    263 0.440   167 0.418      84 0.385      26 0.400
//   tar of /usr/lib   478 0.396    448 0.391    258 0.385   184 0.376      79 0.345      22 0.349
//   Python packages   435 0.367    374 0.359    225 0.351   189 0.348      77 0.325      30 0.324
//   source text       518 0.311    474 0.306    272 0.300   175 0.297      88 0.278      37 0.275
//
// So noise is stored; what is nearly noise gets ISA-L 1, as Huffman codes are all that helps there,
// and nobody else gets more out of it. On everything else libdeflate makes a tenth less of it in
// five times the time. Text is worth that: layers of text are small, and pulled often. Binaries get
// ISA-L 2, which for 1.5 % takes little more time than 1. ISA-L's levels 0 and 3 are on no list: 0
// with tables of the block's own is slower than 1 and no better, 3 is as slow as libdeflate 1 and
// worse.
//
// Why 5 for text: it is what docker's own compressor (Go's, level 6) comes to. The 193 MB of tar of
// a tree of 60,000 small source files become, in MB and in seconds of one processor that was not
// quite idle:
//
//   libdeflate 1   57.06  1.0      libdeflate 4   55.17  1.6      docker 20.10   53.63
//   libdeflate 2   56.04  1.4      libdeflate 5   53.63  2.2      zlib 6         53.23  6.2
//   libdeflate 3   55.45  1.5      libdeflate 6   53.35  2.5
//
// Larger blocks gain next to nothing: twice the size 0.14 %, half of it loses 0.3 %.

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

constexpr int kStrongLevel = 5;            // of libdeflate
constexpr std::uint32_t kMediumLevel = 2;  // of ISA-L
constexpr std::uint32_t kFastLevel = 1;    // of ISA-L
constexpr std::size_t kHeaderBytes = 10;
constexpr std::size_t kTrailerBytes = 8;
constexpr std::size_t kStoredBlockBytes = 65535;

void put_le32(std::byte* at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}

constexpr std::size_t stored_bound(std::size_t size) {
  return size + 5 * (size / kStoredBlockBytes + 1);
}

/// Deflate's stored blocks (RFC 1951, 3.2.4); returns their length.
std::size_t deflate_stored(std::span<const std::byte> block, std::byte* to) {
  std::byte* at = to;
  do {
    const std::size_t count = std::min(block.size(), kStoredBlockBytes);
    const auto length = static_cast<std::uint16_t>(count);
    const bool last = count == block.size();
    put_le32(at + 1, length | static_cast<std::uint32_t>(static_cast<std::uint16_t>(~length))
                                  << 16);
    at[0] = static_cast<std::byte>(last ? 1 : 0);
    if (count > 0) std::memcpy(at + 5, block.data(), count);
    at += 5 + count;
    block = block.subspan(count);
  } while (!block.empty());
  return static_cast<std::size_t>(at - to);
}

// The compressors' tables are hundreds of kilobytes: each thread keeps one of each, as making them
// for a block would cost page faults.

/// 0 if the result does not fit into `room`.
std::size_t deflate_well(std::span<const std::byte> block, int level, std::span<std::byte> room) {
  struct Free {
    void operator()(libdeflate_compressor* c) const noexcept { libdeflate_free_compressor(c); }
  };
  struct Compressor {
    int level = -1;  // none yet
    std::unique_ptr<libdeflate_compressor, Free> state;
  };
  static base::PerThread<Compressor> compressors;
  Compressor& compressor = compressors.get();
  if (compressor.level != level) {
    compressor = {level, nullptr};  // the old one goes first
    compressor.state.reset(libdeflate_alloc_compressor(level));
    if (!compressor.state) {
      compressor.level = -1;
      throw Error(ErrorCode::system, "cannot compress: out of memory");
    }
  }
  return libdeflate_deflate_compress(compressor.state.get(), block.data(), block.size(),
                                     room.data(), room.size());
}

/// 0 if the result does not fit into `room`.
std::size_t deflate_fast(std::span<const std::byte> block, std::uint32_t level,
                         std::span<std::byte> room) {
  struct Work {
    isal_zstream stream;
    std::array<std::uint8_t, std::max(ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT)> level_buffer;
  };
  static base::PerThread<Work> works;
  Work& work = works.get();  // not value-initialised: ISA-L sets up what it reads
  isal_zstream& stream = work.stream;
  isal_deflate_init(&stream);
  stream.level = level;
  stream.level_buf = work.level_buffer.data();
  stream.level_buf_size = static_cast<std::uint32_t>(work.level_buffer.size());
  stream.end_of_stream = 1;
  stream.flush = NO_FLUSH;
  // ISA-L does not write through next_in; its interface is just not const.
  stream.next_in = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(block.data()));
  stream.avail_in = static_cast<std::uint32_t>(block.size());
  stream.next_out = reinterpret_cast<std::uint8_t*>(room.data());
  stream.avail_out = static_cast<std::uint32_t>(room.size());
  if (isal_deflate(&stream) != COMP_OK)
    throw Error(ErrorCode::system, "internal error: ISA-L refuses a block; please report");
  return stream.internal_state.state == ZSTATE_END ? stream.total_out : 0;
}

std::size_t deflate_block(std::span<const std::byte> block, std::optional<int> level,
                          std::span<std::byte> room) {
  if (level) return deflate_well(block, *level, room);
  switch (gzip_effort(block)) {
    case GzipEffort::store:
      return 0;
    case GzipEffort::fast:
      return deflate_fast(block, kFastLevel, room);
    case GzipEffort::medium:
      return deflate_fast(block, kMediumLevel, room);
    case GzipEffort::strong:
      return deflate_well(block, kStrongLevel, room);
  }
  return 0;
}

}  // namespace

GzipEffort gzip_effort(std::span<const std::byte> block) {
  // Many and short: a block may hold a hundred files.
  constexpr std::size_t kSamples = 64;
  constexpr std::size_t kSampleBytes = 256;
  constexpr double kNoiseBits = 7.9;  // a byte; 16 KiB of true noise have 7.99
  constexpr double kNearNoiseBits = 7.2;
  constexpr double kBinaryShare = 0.05;  // of bytes that no text has
  if (block.size() < kSamples * kSampleBytes) return GzipEffort::strong;  // cheap anyway

  std::array<std::uint32_t, 256> counts{};
  const std::size_t stride = (block.size() - kSampleBytes) / (kSamples - 1);
  for (std::size_t i = 0; i < kSamples; ++i)
    for (const std::byte byte : block.subspan(i * stride, kSampleBytes))
      ++counts[std::to_integer<std::size_t>(byte)];

  constexpr double kTotal = kSamples * kSampleBytes;
  double bits = 0;
  std::uint32_t binary = 0;
  for (std::size_t value = 0; value < counts.size(); ++value) {
    if (counts[value] == 0) continue;
    const double share = counts[value] / kTotal;
    bits -= share * std::log2(share);
    // Zeros are left out, here and below: tar's padding must neither make small text files look
    // binary, nor small binaries look like text.
    if ((value != 0 && value < 9) || (value > 13 && value < 27) || value >= 0xf5)
      binary += counts[value];
  }
  if (bits > kNoiseBits) return GzipEffort::store;
  if (bits > kNearNoiseBits) return GzipEffort::fast;
  return binary > kBinaryShare * (kTotal - counts[0]) ? GzipEffort::medium : GzipEffort::strong;
}

std::size_t gzip_member_bound(std::size_t block_bytes) {
  return kHeaderBytes + stored_bound(block_bytes) + kTrailerBytes;
}

std::size_t write_gzip_member(std::span<const std::byte> block, std::optional<int> level,
                              std::span<std::byte> room) {
  // ID1 ID2 CM=deflate FLG=0 MTIME=0 XFL=0 OS=255 (unknown)
  constexpr std::array<unsigned char, kHeaderBytes> kHeader = {0x1f, 0x8b, 8, 0, 0,
                                                               0,    0,    0, 0, 255};
  std::memcpy(room.data(), kHeader.data(), kHeader.size());

  std::byte* body = room.data() + kHeaderBytes;
  std::size_t size = deflate_block(block, level, std::span(body, stored_bound(block.size())));
  if (size == 0) size = deflate_stored(block, body);

  put_le32(body + size, libdeflate_crc32(0, block.data(), block.size()));
  put_le32(body + size + 4, static_cast<std::uint32_t>(block.size()));
  return kHeaderBytes + size + kTrailerBytes;
}

}  // namespace strake::layers
