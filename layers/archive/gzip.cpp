#include "layers/archive/gzip.h"

#include <isa-l.h>
#include <libdeflate.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "layers/base/error.h"

// A block becomes a member of its own, so that blocks can be compressed at the same time and by
// different means. The choice looks at the block's bytes only. What the means are worth, on a tar
// of /usr/lib, in MB/s of one processor and ratio (gzip -6: 20, 0.342):
//
//   libdeflate 6   69, 0.338   for text, where matches are long and work pays
//   libdeflate 1  160, 0.368   for binaries; all in all 145, 0.365
//   ISA-L 1       261, 0.386   for what hardly compresses
//   stored                     for noise

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

constexpr int kStrongLevel = 6;  // of libdeflate
constexpr int kMediumLevel = 1;  // of libdeflate
constexpr int kFastLevel = 1;    // of ISA-L
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

/// 0 if the result does not fit into `room`.
std::size_t deflate_well(std::span<const std::byte> block, int level, std::span<std::byte> room) {
  struct Free {
    void operator()(libdeflate_compressor* c) const noexcept { libdeflate_free_compressor(c); }
  };
  const std::unique_ptr<libdeflate_compressor, Free> compressor(libdeflate_alloc_compressor(level));
  if (!compressor) throw Error(ErrorCode::system, "cannot compress: out of memory");
  return libdeflate_deflate_compress(compressor.get(), block.data(), block.size(), room.data(),
                                     room.size());
}

/// 0 if the result does not fit into `room`.
std::size_t deflate_fast(std::span<const std::byte> block, std::span<std::byte> room) {
  struct Work {
    isal_zstream stream;
    std::array<std::uint8_t, ISAL_DEF_LVL1_DEFAULT> level_buffer;
  };
  // Not value-initialised: ISA-L sets up what it reads.
  const std::unique_ptr<Work> work(new Work);
  isal_zstream& stream = work->stream;
  isal_deflate_init(&stream);
  stream.level = kFastLevel;
  stream.level_buf = work->level_buffer.data();
  stream.level_buf_size = static_cast<std::uint32_t>(work->level_buffer.size());
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
      return deflate_fast(block, room);
    case GzipEffort::medium:
      return deflate_well(block, kMediumLevel, room);
    case GzipEffort::strong:
      return deflate_well(block, kStrongLevel, room);
  }
  return 0;
}

}  // namespace

GzipEffort gzip_effort(std::span<const std::byte> block) {
  constexpr std::size_t kSamples = 16;
  constexpr std::size_t kSampleBytes = 1024;
  constexpr double kNoiseBits = 7.9;  // a byte; 16 KiB of true noise have 7.99
  constexpr double kNearNoiseBits = 7.2;
  constexpr double kBinaryShare = 0.02;  // of bytes that no text has
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
    // Zeros are left out: tar's padding must not make small text files look binary.
    if ((value != 0 && value < 9) || (value > 13 && value < 27) || value >= 0xf5)
      binary += counts[value];
  }
  if (bits > kNoiseBits) return GzipEffort::store;
  if (bits > kNearNoiseBits) return GzipEffort::fast;
  return binary > kBinaryShare * kTotal ? GzipEffort::medium : GzipEffort::strong;
}

void append_gzip_member(std::span<const std::byte> block, std::optional<int> level,
                        std::vector<std::byte>& to) {
  const std::size_t start = to.size();
  const std::size_t room = stored_bound(block.size());
  to.resize(start + kHeaderBytes + room + kTrailerBytes);
  std::byte* header = to.data() + start;
  // ID1 ID2 CM=deflate FLG=0 MTIME=0 XFL=0 OS=255 (unknown)
  constexpr std::array<unsigned char, kHeaderBytes> kHeader = {0x1f, 0x8b, 8, 0, 0,
                                                               0,    0,    0, 0, 255};
  std::memcpy(header, kHeader.data(), kHeader.size());

  std::byte* body = header + kHeaderBytes;
  std::size_t size = deflate_block(block, level, std::span(body, room));
  if (size == 0) size = deflate_stored(block, body);

  put_le32(body + size, libdeflate_crc32(0, block.data(), block.size()));
  put_le32(body + size + 4, static_cast<std::uint32_t>(block.size()));
  to.resize(start + kHeaderBytes + size + kTrailerBytes);
}

}  // namespace strake::layers
