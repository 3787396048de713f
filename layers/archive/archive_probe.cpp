#include "layers/archive/archive_probe.h"

#include <array>
#include <cstring>
#include <memory>

#include "layers/base/error.h"
#include "layers/base/fd.h"

namespace strake::layers {
namespace {

/// Reads a file at its own offset, leaving the descriptor's alone.
class PositionedSource final : public base::ByteSource {
 public:
  PositionedSource(int fd, std::string_view subject) : fd_(fd), subject_(subject) {}
  std::size_t read(std::span<std::byte> buffer) override {
    const std::size_t count = base::pread_full(fd_, buffer, offset_, subject_);
    offset_ += count;
    return count;
  }

 private:
  int fd_;
  std::string_view subject_;
  std::uint64_t offset_ = 0;
};

}  // namespace

bool is_tar_header(std::span<const std::byte, kTarBlockBytes> bytes) {
  TarBlock block;
  std::memcpy(&block, bytes.data(), sizeof block);
  // A sum of spaces alone is the zero block of an empty archive.
  return block.sum() != 8 * ' ' && parse_octal(block.checksum) == block.sum();
}

std::optional<ArchiveCompression> probe_archive(int fd, std::string_view subject) {
  std::array<std::byte, kSniffBytes> beginning{};
  const std::size_t size = base::pread_full(fd, beginning, 0, subject);
  const ArchiveCompression compression = sniff(std::span(beginning).first(size));
  try {
    const auto content =
        make_decompressor(std::make_unique<PositionedSource>(fd, subject), compression);
    std::array<std::byte, kTarBlockBytes> block{};
    if (base::read_full(*content, block) < block.size() || !is_tar_header(block)) return {};
    return compression;
  } catch (const base::Error& error) {
    if (error.code() == base::ErrorCode::corrupt) return {};  // like an archive, but none
    throw;
  }
}

}  // namespace strake::layers
