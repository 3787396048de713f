#include "builder/context/archive_context.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "layers/archive/archive_probe.h"
#include "layers/archive/compression.h"
#include "layers/base/rooted_directory.h"

namespace strake::builder {
namespace {

/// A stream whose beginning was looked at already.
class RejoinedSource final : public base::ByteSource {
 public:
  RejoinedSource(std::vector<std::byte> beginning, std::unique_ptr<base::ByteSource> rest)
      : beginning_(std::move(beginning)), rest_(std::move(rest)) {}

  std::size_t read(std::span<std::byte> buffer) override {
    if (position_ == beginning_.size()) return rest_->read(buffer);
    const std::size_t count = std::min(buffer.size(), beginning_.size() - position_);
    std::memcpy(buffer.data(), beginning_.data() + position_, count);
    position_ += count;
    return count;
  }

 private:
  std::vector<std::byte> beginning_;
  std::size_t position_ = 0;
  std::unique_ptr<base::ByteSource> rest_;
};

}  // namespace

Beginning look_at_beginning(std::unique_ptr<base::ByteSource> source, std::size_t bytes) {
  std::vector<std::byte> beginning(bytes);
  beginning.resize(base::read_full(*source, beginning));
  return {beginning, std::make_unique<RejoinedSource>(beginning, std::move(source))};
}

bool looks_like_archive(std::span<const std::byte> beginning) {
  if (layers::sniff(beginning) != layers::ArchiveCompression::none) return true;
  if (beginning.size() < kArchiveSniffBytes) return false;
  const auto block = beginning.first<kArchiveSniffBytes>();
  const bool empty =
      std::all_of(block.begin(), block.end(), [](std::byte byte) { return byte == std::byte(0); });
  return empty || layers::is_tar_header(block);
}

layers::ApplyResult unpack_archive(std::unique_ptr<base::ByteSource> archive,
                                   const std::filesystem::path& destination) {
  Beginning whole = look_at_beginning(std::move(archive), layers::kSniffBytes);
  const layers::ArchiveCompression compression = layers::sniff(whole.bytes);
  const auto tar = layers::make_decompressor(std::move(whole.stream), compression);
  const base::RootedDirectory root = base::RootedDirectory::open_host(destination.native());
  const base::FileDescriptor directory = root.open("", O_RDONLY | O_DIRECTORY);
  return layers::apply_layer(*tar, directory.get(),
                             {.xattrs = layers::usable_xattr_namespace(), .overlay_form = false});
}

}  // namespace strake::builder
