#include "builder/images/tar_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "layers/archive/compression.h"
#include "layers/archive/tar_block.h"
#include "layers/archive/tar_headers.h"
#include "layers/base/error.h"

namespace strake::builder {
namespace {

using base::Error;
using base::ErrorCode;
using layers::kTarBlockBytes;

constexpr std::size_t kMostFiles = 100'000;
constexpr std::size_t kMostHeaderBytes = 1 << 20;  // of one file: extended headers are small

/// A part of a file that others read too.
class RangeSource final : public base::ByteSource {
 public:
  RangeSource(int fd, const std::string& path, std::uint64_t offset, std::uint64_t size_bytes)
      : fd_(fd), path_(path), offset_(offset), left_(size_bytes) {}

  std::size_t read(std::span<std::byte> buffer) override {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), left_));
    if (wanted == 0) return 0;
    ssize_t count = 0;
    do {
      count = ::pread(fd_, buffer.data(), wanted, static_cast<off_t>(offset_));
    } while (count < 0 && errno == EINTR);
    if (count < 0) throw base::system_error(errno, "read", path_);
    if (count == 0) throw Error(ErrorCode::corrupt, base::quoted(path_) + " ends early");
    offset_ += static_cast<std::uint64_t>(count);
    left_ -= static_cast<std::uint64_t>(count);
    return static_cast<std::size_t>(count);
  }

 private:
  const int fd_;
  const std::string& path_;
  std::uint64_t offset_, left_;
};

/// Headers that are about the one behind them: pax records, GNU's long names.
bool is_extension(char type) {
  return type == 'x' || type == 'g' || type == 'L' || type == 'K';
}

std::uint64_t size_of(const layers::TarBlock& block) {
  return layers::parse_octal(block.size);
}

}  // namespace

TarFiles::TarFiles(const std::string& path)
    : path_(path), file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) {
  if (!file_) throw base::system_error(errno, "open", path);
  struct ::stat status;
  if (::fstat(file_.get(), &status) != 0) throw base::system_error(errno, "read", path);
  if (!S_ISREG(status.st_mode))
    throw Error(ErrorCode::unsupported, base::quoted(path) +
                                            " is not a file: an archive is read "
                                            "in any order")
        .hint("an image layout in a directory is read as oci:" + path);
  size_bytes_ = static_cast<std::uint64_t>(status.st_size);
  read_headers();
}

std::string TarFiles::read_at(std::uint64_t offset, std::size_t size) const {
  std::string bytes(static_cast<std::size_t>(std::min<std::uint64_t>(
                        size, offset < size_bytes_ ? size_bytes_ - offset : 0)),
                    '\0');
  RangeSource source(file_.get(), path_, offset, bytes.size());
  base::read_full(source, std::as_writable_bytes(std::span(bytes)));
  return bytes;
}

void TarFiles::read_headers() {
  const auto compression = layers::sniff(base::bytes_of(read_at(0, layers::kSniffBytes)));
  if (compression != layers::ArchiveCompression::none)
    throw Error(ErrorCode::unsupported, base::quoted(path_) + " is compressed")
        .hint("decompress it first: what is in an image archive is compressed already");
  std::string headers;  // of the next file
  for (std::uint64_t offset = 0; offset < size_bytes_;) {
    const std::string bytes = read_at(offset, kTarBlockBytes);
    layers::TarBlock block;
    if (bytes.size() < sizeof block) break;
    std::memcpy(&block, bytes.data(), sizeof block);
    if (bytes.find_first_not_of('\0') == std::string::npos) return;  // the end of the archive
    if (layers::parse_octal(block.checksum) != block.sum())
      throw Error(ErrorCode::corrupt, base::quoted(path_) + " is not a tar");
    headers += bytes;
    offset += kTarBlockBytes;
    if (is_extension(block.type)) {
      const std::uint64_t size = size_of(block) + layers::tar_padding(size_of(block));
      if (headers.size() + size > kMostHeaderBytes)
        throw Error(ErrorCode::corrupt, "a header of " + base::quoted(path_) + " is too long");
      headers += read_at(offset, static_cast<std::size_t>(size));
      offset += size;
      continue;
    }
    const layers::RawHeaders file = layers::parse_headers(headers, {});
    headers.clear();
    const std::uint64_t size = block.type == '0' || block.type == '\0' ? file.size_bytes : 0;
    if (size > size_bytes_ - std::min(offset, size_bytes_) || files_.size() == kMostFiles)
      throw Error(ErrorCode::corrupt, base::quoted(path_) + " ends early or has too many files");
    const std::string_view name = file.path;
    files_[std::string(name.substr(name.starts_with("./") ? 2 : 0))] = {offset, size};
    offset += size + layers::tar_padding(size);
  }
  throw Error(ErrorCode::corrupt, base::quoted(path_) + " ends early");
}

std::unique_ptr<base::ByteSource> TarFiles::open(const std::string& name) const {
  const auto found = files_.find(name);
  if (found == files_.end()) return nullptr;
  return std::make_unique<RangeSource>(file_.get(), path_, found->second.offset,
                                       found->second.size_bytes);
}

}  // namespace strake::builder
