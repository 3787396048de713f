#include "layers/archive/compression.h"

#include <algorithm>
#include <string>
#include <utility>

#include "layers/archive/block_compressor.h"
#include "layers/archive/decoder.h"
#include "layers/archive/gzip.h"
#include "layers/archive/zstd.h"
#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::layers {
namespace {

using base::Error;
using base::ErrorCode;

class PassThrough final : public CompressingSink {
 public:
  explicit PassThrough(base::ByteSink& out) : out_(out) {}
  void write(std::span<const std::byte> bytes) override { out_.write(bytes); }
  void finish() override {}

 private:
  base::ByteSink& out_;
};

/// Counts into a number that the other end of a decompressor compares its output with.
class CountingSource final : public base::ByteSource {
 public:
  CountingSource(std::unique_ptr<base::ByteSource> from, std::shared_ptr<std::uint64_t> count)
      : from_(std::move(from)), count_(std::move(count)) {}
  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t count = from_->read(buffer);
    *count_ += count;
    return count;
  }

 private:
  std::unique_ptr<base::ByteSource> from_;
  std::shared_ptr<std::uint64_t> count_;
};

/// Stops a decompressor whose output is over the limits.
class LimitedSource final : public base::ByteSource {
 public:
  LimitedSource(std::unique_ptr<base::ByteSource> from, std::shared_ptr<std::uint64_t> compressed,
                const Limits& limits)
      : from_(std::move(from)), compressed_bytes_(std::move(compressed)), limits_(limits) {}

  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t count = from_->read(buffer);
    bytes_ += count;
    if (bytes_ > limits_.uncompressed_bytes)
      throw Error(ErrorCode::corrupt, "the archive is larger than the limit of " +
                                          std::to_string(limits_.uncompressed_bytes) +
                                          " bytes when decompressed");
    if (bytes_ > limits_.ratio_free_bytes && bytes_ / limits_.ratio > *compressed_bytes_)
      throw Error(ErrorCode::corrupt,
                  "the archive is a decompression bomb: " + std::to_string(*compressed_bytes_) +
                      " bytes made " + std::to_string(bytes_) + ", the limit is a ratio of " +
                      std::to_string(limits_.ratio));
    return count;
  }

 private:
  std::unique_ptr<base::ByteSource> from_;
  std::shared_ptr<std::uint64_t> compressed_bytes_;  // shared with the CountingSource below
  const Limits limits_;
  std::uint64_t bytes_ = 0;
};

std::unique_ptr<base::ByteSource> make_decoder(std::unique_ptr<base::ByteSource> from,
                                               ArchiveCompression compression,
                                               const Limits& limits) {
  switch (compression) {
    case ArchiveCompression::none:
      break;
    case ArchiveCompression::gzip:
      return make_gunzip(std::move(from));
    case ArchiveCompression::zstd:
      return make_unzstd(std::move(from), limits.zstd_window_log);
    case ArchiveCompression::bzip2:
      return make_bunzip2(std::move(from));
    case ArchiveCompression::xz:
      return make_unxz(std::move(from), limits.xz_memory_bytes);
  }
  return from;
}

void check_level(std::optional<int> level, int min, int max, std::string_view format) {
  if (level && (*level < min || *level > max))
    throw Error(ErrorCode::invalid_input, "compression level " + std::to_string(*level) + " for " +
                                              std::string(format) + " is not from " +
                                              std::to_string(min) + " to " + std::to_string(max));
}

}  // namespace

ArchiveCompression archive_compression(oci::Compression compression) {
  switch (compression) {
    case oci::Compression::none:
      return ArchiveCompression::none;
    case oci::Compression::gzip:
      return ArchiveCompression::gzip;
    case oci::Compression::zstd:
      return ArchiveCompression::zstd;
  }
  return ArchiveCompression::none;
}

std::string_view name_of(ArchiveCompression compression) {
  switch (compression) {
    case ArchiveCompression::none:
      return "none";
    case ArchiveCompression::gzip:
      return "gzip";
    case ArchiveCompression::zstd:
      return "zstd";
    case ArchiveCompression::bzip2:
      return "bzip2";
    case ArchiveCompression::xz:
      return "xz";
  }
  return "none";
}

ArchiveCompression sniff(std::span<const std::byte> beginning) {
  const std::string_view text = base::text_of(beginning);
  if (text.starts_with("\x1f\x8b\x08")) return ArchiveCompression::gzip;
  if (text.starts_with("\x28\xb5\x2f\xfd")) return ArchiveCompression::zstd;
  // A skippable frame may come first: 0x184D2A50 to 0x184D2A5F, little-endian.
  if (text.size() >= 4 && (text[0] & '\xf0') == '\x50' && text.substr(1, 3) == "\x2a\x4d\x18")
    return ArchiveCompression::zstd;
  if (text.size() >= 4 && text.starts_with("BZh") && text[3] >= '1' && text[3] <= '9')
    return ArchiveCompression::bzip2;
  if (text.starts_with(std::string_view("\xfd"
                                        "7zXZ\0",
                                        6)))
    return ArchiveCompression::xz;
  return ArchiveCompression::none;
}

std::unique_ptr<CompressingSink> make_compressor(oci::Compression compression,
                                                 std::optional<int> level, base::ByteSink& out,
                                                 base::WorkerPool& pool) {
  switch (compression) {
    case oci::Compression::none:
      break;
    case oci::Compression::gzip:
      check_level(level, 0, kGzipMaxLevel, "gzip");
      return std::make_unique<BlockCompressor>(
          BlockFormat{kGzipBlockBytes, gzip_member_bound(kGzipBlockBytes),
                      [level](std::span<const std::byte> block, std::span<std::byte> room) {
                        return write_gzip_member(block, level, room);
                      }},
          out, pool);
    case oci::Compression::zstd:
      check_level(level, 1, kZstdMaxLevel, "zstd");
      return std::make_unique<BlockCompressor>(
          BlockFormat{kZstdBlockBytes, zstd_frame_bound(kZstdBlockBytes),
                      [level = level.value_or(kZstdDefaultLevel)](std::span<const std::byte> block,
                                                                  std::span<std::byte> room) {
                        return write_zstd_frame(block, level, room);
                      }},
          out, pool);
  }
  return std::make_unique<PassThrough>(out);
}

std::unique_ptr<base::ByteSource> make_decompressor(std::unique_ptr<base::ByteSource> from,
                                                    ArchiveCompression compression,
                                                    const Limits& limits) {
  auto compressed_bytes = std::make_shared<std::uint64_t>(0);
  auto counted = std::make_unique<CountingSource>(std::move(from), compressed_bytes);
  return std::make_unique<LimitedSource>(make_decoder(std::move(counted), compression, limits),
                                         std::move(compressed_bytes), limits);
}

}  // namespace strake::layers
